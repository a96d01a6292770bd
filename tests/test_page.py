"""The page in a browser: its numbers are Python's, and pictures stay where they are."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT, DATA

pytest.importorskip("starlette", reason="the extra web is not installed")

from browser import Watch, chromium, download, open_photo, page_at, wait_for
from serving import serving

from synergynet import FaceAnalyzer, read_image
from synergynet.serve.app import create_app
from synergynet.serve.pages import page_routes
from synergynet.serve.settings import Settings

PHOTOS = DATA / "photos"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(create_app(None, Settings(), page_routes())) as where:
        yield where


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    film = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    write_camera(film)
    with chromium(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ) as found:
        yield found


@pytest.fixture(scope="module")
def opened(browser: Any, address: str) -> Iterator[Watch]:
    """The page with a photo, for tests that change nothing in it."""
    with page_at(browser, address, viewport={"width": 1280, "height": 800}) as watch:
        open_photo(watch, ASTRONAUT)
        yield watch


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return FaceAnalyzer(quality="fast", threads=1)


def write_camera(path: Path) -> None:
    """640 x 480, a face that sways."""
    photo = read_image(ASTRONAUT)
    with path.open("wb") as stream:
        for turn in np.linspace(0, 2 * np.pi, 20, endpoint=False):
            move = np.array([[1.6, 0, -60 + 25 * np.cos(turn)], [0, 1.6, -20]])
            stream.write(cv2.imencode(".jpg", cv2.warpAffine(photo, move, (640, 480)))[1])


def picture(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(int)


# --- Numbers


def sample_photos() -> list[Path]:
    return [ASTRONAUT, *sorted(PHOTOS.glob("*.jpg"))]


@pytest.fixture(scope="module")
def reader(browser: Any, address: str) -> Iterator[Watch]:
    """A page that opens one photo after the other."""
    with page_at(browser, address) as watch:
        yield watch


@pytest.mark.parametrize("photo", sample_photos(), ids=lambda path: path.stem)
def test_the_numbers_are_pythons(reader: Watch, analyzer: FaceAnalyzer, photo: Path) -> None:
    want = [face.to_dict() for face in analyzer(read_image(photo))]
    open_photo(reader, photo)
    answer = json.loads(download(reader, "JSON"))
    assert not reader.complaints
    assert answer["image"] == photo.name
    assert len(answer["faces"]) == len(want)
    for got, face in zip(answer["faces"], want, strict=True):
        assert [*got] == [*face]
        off = np.abs(np.subtract(got["landmarks"], face["landmarks"])).max()
        assert off < 0.5, photo.name
        for angle in ("yaw", "pitch", "roll"):
            assert abs(got["pose"][angle] - face["pose"][angle]) < 0.5
        assert np.allclose(got["pose"]["translation"], face["pose"]["translation"], atol=0.5)
        assert np.allclose(got["box"], face["box"], atol=0.5)
        assert abs(got["confidence"] - face["confidence"]) < 0.02
        for name, weight in face["arkit"].items():
            assert abs(got["arkit"][name] - weight) < 0.05, name


def test_a_face_on_its_side_is_found_as_in_python(
    reader: Watch, analyzer: FaceAnalyzer, tmp_path: Path
) -> None:
    photo = tmp_path / "side.png"
    cv2.imwrite(str(photo), np.rot90(read_image(ASTRONAUT)))
    (face,) = analyzer(read_image(photo))
    open_photo(reader, photo)
    (got,) = json.loads(download(reader, "JSON"))["faces"]
    assert np.abs(np.subtract(got["landmarks"], face.landmarks)).max() < 0.5


def test_what_the_page_shows_is_what_it_computed(opened: Watch, analyzer: FaceAnalyzer) -> None:
    (face,) = analyzer(read_image(ASTRONAUT))
    shown = opened.page.inner_text("[data-value=pitch]")
    assert float(shown.replace("−", "-").rstrip("°")) == pytest.approx(face.pose.pitch, abs=0.1)
    assert opened.page.inner_text("[data-value=confidence]") == f"{face.confidence:.0%}".replace(
        "%", " %"
    )
    for name, weight in face.arkit.items():
        value = float(opened.page.input_value(f"input[data-unit={name}]"))
        assert value == pytest.approx(weight, abs=0.011), name


# --- Pixels


def shot(watch: Watch, selector: str) -> np.ndarray:
    """What an element looks like on the screen, (H, W, 3) BGR, at rest."""
    return picture(watch.page.locator(selector).screenshot(animations="disabled"))


def test_relief_landmarks_and_pose_are_on_the_screen(opened: Watch) -> None:
    def changed(name: str) -> np.ndarray:
        on = shot(opened, ".sheet")
        opened.page.click(f".tools button:has-text('{name}') >> nth=0")
        off = shot(opened, ".sheet")
        opened.page.click(f".tools button:has-text('{name}') >> nth=0")
        return np.argwhere(np.abs(on - off).max(axis=2) > 24)

    size = shot(opened, ".sheet").shape[0] / 512
    for name, least in (("Relief", 400), ("Landmarks", 400), ("Pose", 150)):
        where = changed(name) / size
        assert len(where) > least, name
        # The face is about (222, 120) in the photo.
        assert np.abs(np.median(where, axis=0) - (120, 222)).max() < 45, name


def test_the_head_wears_the_photo_and_turns(opened: Watch) -> None:
    front = shot(opened, ".head-room")
    head = front[120:280, 130:270].reshape(-1, 3)
    blue, _, red = head.mean(axis=0)
    assert red > blue + 25  # skin
    opened.page.locator(".head-room").focus()
    for _ in range(4):
        opened.page.keyboard.press("ArrowRight")
    turned = shot(opened, ".head-room")
    opened.page.keyboard.press("Home")
    assert (np.abs(front - turned).max(axis=2) > 40).mean() > 0.05
    assert np.abs(shot(opened, ".head-room") - front).mean() < 2


def test_a_slider_moves_the_head_and_following_moves_it_back(opened: Watch) -> None:
    before = shot(opened, ".head-room")
    slider = opened.page.locator("input[data-unit=jawOpen]")
    slider.focus()
    opened.page.keyboard.press("End")
    assert slider.input_value() == "1"
    moved = shot(opened, ".head-room")
    assert (np.abs(before - moved).max(axis=2) > 40).mean() > 0.01
    opened.page.click("text=Follow the face")
    assert np.abs(shot(opened, ".head-room") - before).mean() < 2


# --- Files


def test_the_glb_holds_the_face(opened: Watch, analyzer: FaceAnalyzer) -> None:
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    data = download(opened, "GLB")
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    mesh = document["meshes"][0]
    assert len(mesh["extras"]["targetNames"]) == len(mesh["weights"]) == 53
    (face,) = analyzer(read_image(ASTRONAUT))
    weights = dict(zip(mesh["extras"]["targetNames"], mesh["weights"], strict=True))
    assert weights["jawOpen"] == pytest.approx(face.arkit["jawOpen"], abs=0.01)
    scene = trimesh.load(io.BytesIO(data), file_type="glb", process=False)
    (shape,) = scene.geometry.values()
    want = face.face_model.vertices(face.identity, np.zeros(10))
    assert np.abs(shape.vertices[: len(want)] - want).max() < 0.05  # millimetres
    texture = np.asarray(shape.visual.material.baseColorTexture)[..., :3]
    assert texture.shape == (1024, 1024, 3) and texture.std() > 15


def test_the_obj_is_the_mesh_in_the_photo(opened: Watch, analyzer: FaceAnalyzer) -> None:
    lines = download(opened, "OBJ").decode().splitlines()
    points = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    (face,) = analyzer(read_image(ASTRONAUT))
    assert np.abs(points - (face.vertices * (1, -1, 1) + (0, 511, 0))).max() < 0.5
    assert sum(line.startswith("f ") for line in lines) == len(face.triangles)


def test_the_png_is_the_photo_with_lines(opened: Watch) -> None:
    drawn, photo = picture(download(opened, "PNG")), read_image(ASTRONAUT).astype(int)
    assert drawn.shape == photo.shape
    differs = np.abs(drawn - photo).max(axis=2) > 30
    assert differs[60:180, 160:290].mean() > 0.01
    assert differs[300:].mean() < 0.001


# --- Several faces, films, the camera


def test_several_faces_are_chosen_by_key(browser: Any, address: str) -> None:
    photo = PHOTOS / "3ddfa_trump_hillary.jpg"
    if not photo.is_file():
        pytest.skip(f"{photo} is not here: set SYNERGYNET_DATA to the development data")
    with page_at(browser, address) as watch:
        open_photo(watch, photo)
        tabs = watch.page.locator(".faces button")
        assert tabs.count() == 2
        first = watch.page.inner_text("[data-value=yaw]")
        tabs.nth(1).focus()
        watch.page.keyboard.press("Enter")
        assert tabs.nth(1).get_attribute("aria-pressed") == "true"
        assert watch.page.inner_text("[data-value=yaw]") != first
        assert "2 faces" in watch.page.get_attribute(".sheet canvas >> nth=0", "aria-label")


def test_the_camera_is_followed(browser: Any, address: str) -> None:
    with page_at(browser, address) as watch:
        watch.page.click(".top >> text=Camera")
        watch.page.wait_for_selector(".facts")
        seen = set()

        def moved() -> bool:
            seen.add(watch.page.inner_text("[data-value=yaw]"))
            return len(seen) > 2 and watch.page.inner_text("[data-value=rate]") != "0"

        wait_for(moved)
        assert int(watch.page.inner_text("[data-value=confidence]").rstrip(" %")) > 90
        watch.page.click("text=Close")
        assert watch.page.locator(".welcome").count() == 1
        assert not watch.complaints


# --- What leaves the page: nothing


def test_after_loading_there_are_no_requests(browser: Any, address: str) -> None:
    with page_at(browser, address) as watch:
        loaded = len(watch.requests)
        assert loaded > 5
        open_photo(watch, ASTRONAUT)
        for kind in ("GLB", "OBJ", "JSON", "PNG"):
            download(watch, kind)
        watch.page.click(".top >> text=Camera")
        watch.page.wait_for_selector(".facts")
        watch.page.wait_for_timeout(1500)
        assert watch.requests[loaded:] == []
        assert watch.bodies == []
        assert all(url.startswith(address) for url in watch.requests)
        assert not watch.complaints


def test_the_browser_forbids_requests(browser: Any, address: str) -> None:
    """By policy, not by good will: also the page's own server, for page and engine alike."""
    tries = """async () => {
      const told = []
      for (const url of ['healthz', '/settings.json', 'https://example.org/']) {
        await fetch(url, { method: 'POST', body: 'x' }).then(
          () => told.push('sent'), () => told.push('refused'))
      }
      told.push(navigator.sendBeacon('/settings.json', 'x') ? 'queued' : 'refused')
      return told
    }"""
    with page_at(browser, address) as watch:
        told = watch.page.evaluate(tries)
        assert told[:3] == ["refused"] * 3
        assert watch.bodies == []
        engine = next(worker for worker in watch.page.workers if "worker.js" in worker.url)
        refused = "() => fetch('/settings.json').then(() => 'sent', () => 'refused')"
        assert engine.evaluate(refused) == "refused"
        assert not any("courier" in worker.url for worker in watch.page.workers)


# --- How it is made


def test_phone_layout_does_not_scroll_sideways(browser: Any, address: str) -> None:
    with page_at(browser, address, viewport={"width": 360, "height": 740}) as watch:
        for step in ("empty", "photo"):
            if step == "photo":
                open_photo(watch, ASTRONAUT)
            wide = watch.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, step


def test_light_and_dark_follow_the_system_and_the_button(browser: Any, address: str) -> None:
    def ground(watch: Watch) -> str:
        return watch.page.evaluate("getComputedStyle(document.body).backgroundColor")

    with page_at(browser, address, color_scheme="dark") as watch:
        dark = ground(watch)
        watch.page.click(".quiet")
        assert ground(watch) != dark
        watch.page.reload()
        watch.page.wait_for_selector("html[data-theme=light]")


def test_everything_can_be_reached_and_has_a_name(opened: Watch) -> None:
    nameless = opened.page.evaluate("""() => [...document.querySelectorAll(
        'button, input, select, a, [tabindex]')]
        .filter((one) => !(one.ariaLabel || one.textContent.trim() ||
          one.closest('label')?.textContent.trim()))
        .map((one) => one.outerHTML)""")
    assert nameless == []
    assert opened.page.get_attribute("html", "lang") == "en"
    assert opened.page.locator("[role=status][aria-live=polite]").count() == 1


def test_the_description_of_the_interface_is_shown(browser: Any, analyzer: FaceAnalyzer) -> None:
    with serving(create_app(analyzer, Settings(), page_routes())) as where:
        page = browser.new_page()
        watch = Watch(page)
        page.goto(where + "/docs")
        page.wait_for_selector("text=POST /v1/faces")
        assert "curl" in page.inner_text("pre >> nth=0")
        assert not watch.complaints
        page.close()


def test_a_file_that_is_no_photo_is_told(browser: Any, address: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.jpg"
    file.write_text("no photo")
    with page_at(browser, address) as watch:
        watch.page.set_input_files("input[type=file] >> nth=0", str(file))
        watch.page.wait_for_selector(".notice.failed")
        assert "notes.jpg" in watch.page.inner_text(".notice")
        assert not watch.complaints
