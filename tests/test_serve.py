"""``synergynet serve``: answers as ``infer`` gives them, and what is refused."""

from __future__ import annotations

import base64
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from base_install import base_environment
from helpers import ASTRONAUT, DATA, one_error, run

pytest.importorskip("httpx", reason="the development extras are not installed")
pytest.importorskip("starlette", reason="the extra web is not installed")

import httpx
from serving import command, serving

from synergynet import FaceAnalyzer, read_image
from synergynet.errors import SynergyNetError
from synergynet.pipeline.analyzer import Analysis, Timings
from synergynet.serve.app import create_app
from synergynet.serve.settings import Settings, is_loopback

PHOTO = ASTRONAUT.read_bytes()
FACES = "/v1/faces"
ask = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=None))


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return FaceAnalyzer(quality="fast", threads=1)


@pytest.fixture(scope="module")
def server(analyzer: FaceAnalyzer) -> Iterator[str]:
    allowed = Settings(max_bytes=4 << 20, max_pixels=4_000_000, body_seconds=1.0)
    with serving(create_app(analyzer, allowed)) as address:
        yield address


@pytest.fixture(scope="module")
def expected(analyzer: FaceAnalyzer) -> list[dict]:
    return [face.to_dict() for face in analyzer(read_image(ASTRONAUT))]


class FakeAnalyzer:
    """Finds nothing, in batches that it notes; waits for leave, and refuses what is all black."""

    def __init__(self) -> None:
        self.leave, self.begun, self.batches = threading.Event(), threading.Event(), []

    def analyze_all(self, images: Sequence[np.ndarray]) -> list[Analysis]:
        self.batches.append(len(images))
        self.begun.set()
        self.leave.wait(90)
        if any(not image.any() for image in images):
            raise SynergyNetError("a black photo")
        return [Analysis([], Timings(0, 0, 0)) for _ in images]


def png(width: int, height: int, value: int = 90) -> bytes:
    return cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises many pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IEND\xaeB`\x82"


# --- Answers


def test_the_answer_is_that_of_infer(server: str, expected: list[dict]) -> None:
    answer = ask.post(server + FACES, content=PHOTO)
    assert answer.status_code == 200
    assert answer.json() == {"width": 512, "height": 512, "faces": expected}


def test_a_form_brings_the_photo_too(server: str, expected: list[dict]) -> None:
    form = {"image": ("a.jpg", PHOTO, "image/jpeg")}
    answer = ask.post(server + FACES, data={"note": "first"}, files=form)
    assert answer.json()["faces"] == expected


def test_no_face_is_an_answer(server: str) -> None:
    answer = ask.post(server + FACES, content=png(64, 48))
    assert answer.status_code == 200
    assert answer.json() == {
        "width": 64, "height": 48, "message": "no face was found", "faces": []
    }  # fmt: skip


def test_pictures_and_meshes_come_along(server: str) -> None:
    wish = {"draw": "mesh,depth", "mesh": "glb,obj", "space": "head"}
    files = ask.post(server + FACES, content=PHOTO, params=wish).json()["files"]
    assert set(files) == {
        "mesh.jpg", "depth.png", "face0.glb", "face0.obj", "face0.mtl", "face0_uv.png"
    }  # fmt: skip
    data = {name: base64.b64decode(file["base64"]) for name, file in files.items()}
    assert data["face0.glb"].startswith(b"glTF")
    assert files["face0.glb"]["type"] == "model/gltf-binary"
    drawn = cv2.imdecode(np.frombuffer(data["mesh.jpg"], np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (512, 512, 3)
    assert data["face0.obj"].count(b"\nv ") == 12644


# --- Refusals

REFUSED = {
    "nothing": (b"", {}, 400, "send a photo"),
    "no photo": (b"hello", {}, 415, "not a readable image"),
    "cut off": (PHOTO[:9000], {}, 415, "incomplete JPEG"),
    "too many pixels": (png_header(60000, 60000), {}, 413, "megapixels"),
    "too many bytes": (b"\xff\xd8" + bytes(5 << 20), {}, 413, "4 MiB"),
    "too small": (png(5, 5), {}, 415, "too few"),
    "unknown parameter": (PHOTO, {"quality": "best"}, 422, "unknown parameter 'quality'"),
    "unknown drawing": (PHOTO, {"draw": "mesh,nose"}, 422, "draw must be a list"),
    "empty drawing": (PHOTO, {"draw": ""}, 422, "draw must be a list"),
    "unknown mesh": (PHOTO, {"mesh": "fbx"}, 422, "mesh must be a list"),
    "unknown space": (PHOTO, {"space": "outer"}, 422, "space must be one of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_in_one_sentence(server: str, name: str) -> None:
    body, params, status, text = REFUSED[name]
    answer = ask.post(server + FACES, content=body, params=params)
    assert answer.status_code == status
    assert [*answer.json()] == ["error"]
    assert text in answer.json()["error"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", PHOTO),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n'),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ],
)
def test_broken_forms_are_refused(server: str, content_type: str, body: bytes) -> None:
    answer = ask.post(server + FACES, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 400


def test_a_body_without_length_is_counted(server: str) -> None:
    answer = ask.post(server + FACES, content=(bytes(1 << 20) for _ in range(6)))
    assert answer.status_code == 413


def test_a_body_that_does_not_come_is_given_up(server: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        head = f"POST {FACES} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nabc"
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 408")


def test_addresses_and_methods_that_are_not_there(server: str) -> None:
    assert ask.get(server + "/v2").status_code == 404
    assert ask.get(server + FACES).status_code == 405
    assert ask.get(server + FACES).headers["allow"] == "POST"


def test_names_that_a_web_page_made_up_are_refused(server: str) -> None:
    """Such a name may be made to mean 127.0.0.1 by whoever owns it."""
    answer = ask.post(server + FACES, content=PHOTO, headers={"Host": "evil.example:80"})
    assert answer.status_code == 400
    assert ask.get(server + "/healthz", headers={"Host": "localhost:80"}).status_code == 200


def test_damaged_files_are_never_an_error_of_the_server(server: str) -> None:
    folder = DATA / "damaged"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: set SYNERGYNET_DATA to the development data")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files
    with httpx.Client(timeout=120) as client:
        for file in files:
            answer = client.post(server + FACES, content=file.read_bytes())
            assert answer.status_code in (200, 400, 413, 415), (file, answer.text)
            assert "Traceback" not in answer.text
        assert client.get(server + "/healthz").text == "ok\n"


def test_what_fails_inside_is_not_told_outside() -> None:
    class Broken:
        def analyze_all(self, images: Sequence[np.ndarray]) -> list[Analysis]:
            raise RuntimeError("/secret/path")

    with serving(create_app(Broken(), Settings())) as address:
        answer = ask.post(address + FACES, content=PHOTO)
        assert answer.status_code == 500
        assert "secret" not in answer.text and "its log says more" in answer.json()["error"]


# --- Who may ask


def test_other_addresses_need_a_token() -> None:
    with pytest.raises(SynergyNetError, match="--token"):
        Settings("0.0.0.0")
    one_error(run("serve", "--host", "0.0.0.0", "--port", "0"), "0.0.0.0", "--token")
    assert Settings("0.0.0.0", "word").token == "word"
    local = {"127.0.0.1", "127.3.2.1", "::1", "localhost", "[::1]"}
    assert {name for name in (*local, "0.0.0.0", "10.0.0.1", "host") if is_loopback(name)} == local


def test_the_token_opens_the_interface() -> None:
    fake = FakeAnalyzer()
    fake.leave.set()
    with serving(create_app(fake, Settings(token="open sesame"))) as address:
        assert ask.post(address + FACES, content=PHOTO).status_code == 401
        wrong = {"Authorization": "Bearer shut"}
        answer = ask.post(address + FACES, content=PHOTO, headers=wrong)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert ask.get(address + "/metrics").status_code == 401
        right = {"Authorization": "Bearer open sesame"}
        assert ask.post(address + FACES, content=PHOTO, headers=right).status_code == 200
        assert ask.get(address + "/healthz").status_code == 200


# --- Many at once


def test_photos_that_wait_are_analysed_together() -> None:
    fake = FakeAnalyzer()
    with (
        serving(create_app(fake, Settings(queue=40))) as address,
        ThreadPoolExecutor(24) as pool,
    ):
        first = pool.submit(ask.post, address + FACES, content=png(32, 32))
        assert fake.begun.wait(60)
        rest = [pool.submit(ask.post, address + FACES, content=png(32, 32)) for _ in range(20)]
        wait_for(lambda: "synergynet_queue_photos 20.0" in ask.get(address + "/metrics").text)
        fake.leave.set()
        assert [done.result().status_code for done in [first, *rest]] == [200] * 21
    assert fake.batches == [1, 16, 4]


def test_a_full_queue_is_told_with_429() -> None:
    fake = FakeAnalyzer()
    with (
        serving(create_app(fake, Settings(queue=3))) as address,
        ThreadPoolExecutor(24) as pool,
    ):
        asked = [pool.submit(ask.post, address + FACES, content=png(32, 32)) for _ in range(20)]
        refused = lambda: sum(one.done() for one in asked)  # noqa: E731
        wait_for(lambda: refused() >= 14)
        fake.leave.set()
        answers = [one.result() for one in asked]
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 429}
    assert codes.count(200) in range(4, 7)
    full = next(answer for answer in answers if answer.status_code == 429)
    assert int(full.headers["retry-after"]) >= 1


def test_one_photo_does_not_spoil_the_others() -> None:
    fake = FakeAnalyzer()
    with serving(create_app(fake, Settings())) as address, ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask.post, address + FACES, content=png(32, 32))
        assert fake.begun.wait(60)
        values = (90, 0, 90, 90)
        rest = [pool.submit(ask.post, address + FACES, content=png(32, 32, v)) for v in values]
        url = address + "/metrics"
        wait_for(lambda: "synergynet_queue_photos 4.0" in ask.get(url).text)
        fake.leave.set()
        assert first.result().status_code == 200
        assert [one.result().status_code for one in rest] == [200, 422, 200, 200]
    assert fake.batches[:2] == [1, 4]


def test_an_answer_that_does_not_come_is_given_up() -> None:
    fake = FakeAnalyzer()
    with serving(create_app(fake, Settings(answer_seconds=0.2))) as address:
        answer = ask.post(address + FACES, content=png(32, 32))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        fake.leave.set()
        wait_for(lambda: ask.post(address + FACES, content=png(32, 32)).status_code == 200)


def test_metrics_count(server: str) -> None:
    def count(name: str) -> float:
        lines = ask.get(server + "/metrics").text.splitlines()
        return sum(float(line.rsplit(" ")[-1]) for line in lines if line.startswith(name))

    before = count('synergynet_requests_total{status="200"}'), count("synergynet_faces_total")
    ask.post(server + FACES, content=PHOTO)
    after = count('synergynet_requests_total{status="200"}'), count("synergynet_faces_total")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert count("process_resident_memory_bytes") > 1e7


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


# --- The document


def test_the_document_describes_the_answer(server: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    document = ask.get(server + "/openapi.json").json()
    schema = document["components"]["schemas"]["Answer"]
    answer = ask.post(server + FACES, content=PHOTO, params={"mesh": "ply"}).json()
    jsonschema.validate(answer, schema | {"additionalProperties": False})


@pytest.mark.slow
def test_schemathesis_finds_nothing(server: str) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", server + "/openapi.json"),
            # A picture of one pixel is a picture, but none of a face.
            *("--max-examples", "40", "--exclude-checks", "positive_data_acceptance"),
            "--no-color",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


# --- The command


def test_sigterm_answers_what_is_in_work_and_ends_well() -> None:
    with command("serve", "--port", "0", "--quality", "fast") as (process, address):
        assert ask.post(address + FACES, content=PHOTO).status_code == 200
        large = cv2.imencode(".jpg", cv2.resize(read_image(ASTRONAUT), (3000, 3000)))[1].tobytes()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask.post, address + FACES, content=large) for _ in range(4)]
            time.sleep(0.15)
            process.send_signal(signal.SIGTERM)
            assert [one.result().status_code for one in asked] == [200] * 4
        assert process.wait(60) == 0
        assert process.stderr is not None and process.stderr.read() == ""


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one_error(run("serve", "--port", port), port, "--port")


@pytest.mark.parametrize("name", ["serve", "view"])
def test_without_the_extra_it_is_named(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "synergynet", name],
        env=base_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    one_error(done, 'pip install "synergynet[web]"')


def alike(faces: list[dict], expected: list[dict]) -> bool:
    """Whether they are the same; how many a batch holds changes the last digits."""
    if [face["box"] for face in faces] != [face["box"] for face in expected]:
        return False
    pairs = zip(faces, expected, strict=True)
    return all(np.abs(np.subtract(a["landmarks"], b["landmarks"])).max() < 0.01 for a, b in pairs)


@pytest.mark.slow
def test_load_from_another_process(expected: list[dict]) -> None:
    """No answer is lost or wrong, overload is told, and memory stays."""
    small = cv2.imencode(".png", np.zeros((40, 40, 3), np.uint8))[1].tobytes()
    with command("serve", "--port", "0", "--quality", "fast", "--queue", "16") as (_, address):
        counts: dict[int, int] = {}
        end = time.monotonic() + 6

        def keep_asking(number: int) -> None:
            with httpx.Client(timeout=120) as client:
                while time.monotonic() < end:
                    photo = PHOTO if number % 2 else small
                    answer = client.post(address + FACES, content=photo)
                    counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
                    if answer.status_code == 200:
                        assert alike(answer.json()["faces"], expected if number % 2 else [])
                    else:
                        assert answer.status_code == 429
                        time.sleep(0.2)

        with ThreadPoolExecutor(60) as pool:
            for done in [pool.submit(keep_asking, number) for number in range(60)]:
                done.result()
        assert counts[200] > 50
        text = ask.get(address + "/metrics").text
        waiting = next(row for row in text.splitlines() if row.startswith("synergynet_in_flight"))
        assert waiting.endswith(" 0.0")
