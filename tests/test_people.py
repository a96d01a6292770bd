"""Who is who in films made of photos: cuts, absences, faces that cross; options of the tracker."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT
from known_answers import Scene, place_picture, tracker

from synergynet import FaceAnalyzer, read_image
from synergynet.errors import SynergyNetError
from synergynet.geometry.crops import crop_from_landmarks
from synergynet.pipeline.likeness import OTHER, CutFinder, Looks, appearance, difference
from synergynet.pipeline.smoothing import OneEuro
from synergynet.pipeline.tracking import FaceTracker

HEIGHT, WIDTH = 480, 640
SIDE = 150
PEOPLE = (
    ("3ddfa_JianzhuGuo.jpg", 0), ("3ddfa_emma.jpg", 0), ("3ddfa_trump_hillary.jpg", 0),
    ("synergynet_sample_2.jpg", 0), ("synergynet_sample_4.jpg", 0), (None, 0),
)  # fmt: skip


@pytest.fixture(scope="module")
def analyzer() -> FaceAnalyzer:
    return FaceAnalyzer(mirror=False, threads=1)


def placed(photo: np.ndarray, face, side: float, size=(HEIGHT, WIDTH)) -> np.ndarray:
    """The photo moved and scaled so that the face's crop is ``side`` large in the middle."""
    crop = crop_from_landmarks(face.landmarks)
    scale = side / crop.side
    x, y = size[1] / 2 - scale * crop.center[0], size[0] / 2 - scale * crop.center[1]
    move = np.array([[scale, 0, x], [0, scale, y]])
    return cv2.warpAffine(photo, move, size[::-1], borderMode=cv2.BORDER_REFLECT)


@pytest.fixture(scope="module")
def stills(shared_data: Path, analyzer) -> list[np.ndarray]:
    """Six people, each in the middle of a picture of their own."""
    out = []
    for name, number in PEOPLE:
        path = ASTRONAUT if name is None else shared_data / "photos" / name
        if not path.is_file():
            pytest.skip(f"{path} is not here")
        photo = read_image(path)
        out.append(placed(photo, analyzer(photo)[number], 200))
    return out


def shot(picture: np.ndarray, frames: int, seed: int = 0) -> list[np.ndarray]:
    """A still as a film: it sways by some pixels, with noise."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(frames):
        move = np.array([[1, 0, 8 * np.sin(k / 4)], [0, 1, 4 * np.cos(k / 5)]])
        moved = cv2.warpAffine(picture, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        noisy = moved + rng.normal(0, 3, moved.shape)
        out.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return out


def main_ids(follow: FaceTracker, frames: list[np.ndarray]) -> list[int | None]:
    """The id of the largest face of each frame."""
    out: list[int | None] = []
    for frame in frames:
        faces = sorted(follow(frame), key=lambda f: -f.face.crop.side)
        out.append(faces[0].id if faces else None)
    return out


@pytest.mark.slow
def test_six_people_in_one_place_are_six_ids(stills, analyzer) -> None:
    follow = FaceTracker(analyzer)
    seen = [main_ids(follow, shot(still, 8, k)) for k, still in enumerate(stills)]
    assert [len(set(ids)) for ids in seen] == [1] * 6  # from the first frame of each on
    assert len({ids[0] for ids in seen}) == 6 and None not in {ids[0] for ids in seen}


@pytest.mark.slow
def test_who_comes_back_has_the_same_id(stills, analyzer) -> None:
    """After another shot, and after 90 frames without anybody."""
    one, other = stills[5], stills[0]
    follow = FaceTracker(analyzer)
    first, second, third = (main_ids(follow, shot(s, 8)) for s in (one, other, one))
    assert set(first) == set(third) and set(first) != set(second)
    empty = cv2.resize(cv2.resize(one, (3, 2), interpolation=cv2.INTER_AREA), (WIDTH, HEIGHT))
    for still, again in ((one, True), (other, False)):
        follow = FaceTracker(analyzer)
        before = main_ids(follow, shot(one, 8))
        away = main_ids(follow, [empty] * 90)
        after = main_ids(follow, shot(still, 8))
        assert set(away) == {None} and (before[-1] == after[-1]) is again


def sprite(still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A face of ``SIDE`` on 320 x 320 pixels, and how much of each pixel is the head's."""
    half = cv2.resize(still, None, fx=SIDE / 200, fy=SIDE / 200, interpolation=cv2.INTER_AREA)
    y, x = half.shape[0] // 2, half.shape[1] // 2
    picture = np.zeros((320, 320, 3), np.uint8)
    high = min(160, y)
    picture[160 - high : 160 + high] = half[y - high : y + high, x - 160 : x + 160]
    rows, columns = np.mgrid[:320, :320]
    far = np.hypot((columns - 160) / (0.39 * SIDE), (rows - 160) / (0.5 * SIDE))
    return picture, np.clip((1.25 - far) * 6, 0, 1)


def paste(ground: np.ndarray, head: tuple[np.ndarray, np.ndarray], x: float) -> np.ndarray:
    move = np.array([[1, 0, x - 160], [0, 1, HEIGHT / 2 - 160]])
    picture, mask = (cv2.warpAffine(part, move, (WIDTH, HEIGHT)) for part in head)
    return (picture * mask[..., None] + ground * (1 - mask[..., None])).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [30, 60])
def test_faces_that_cross_lose_no_frames(stills, analyzer, frames) -> None:
    """One passes before the other; while half of a face is to be seen, it has its id."""
    front, back = sprite(stills[0]), sprite(stills[5])
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(stills[2], (0, 0), 25) + rng.normal(0, 6, stills[2].shape)
    ground = np.clip(ground, 0, 255).astype(np.uint8)
    follow, missing, ids = FaceTracker(analyzer), [], {}
    for k in range(frames):
        way = 400 * k / (frames - 1)
        places = {"front": 120 + way, "back": 520 - way}
        apart = abs(places["front"] - places["back"]) > 0.6 * SIDE
        faces = follow(paste(paste(ground, back, places["back"]), front, places["front"]))
        for name in ("front", "back") if apart else ("front",):
            near = [
                face
                for face in faces
                if abs(face.face.landmarks[:, 0].mean() - places[name]) < 0.2 * SIDE
            ]
            if not near:
                missing.append((k, name))
            elif apart:
                ids.setdefault(name, set()).add(near[0].id)
    assert missing == []
    assert all(len(some) == 1 for some in ids.values()) and ids["front"] != ids["back"]
    assert follow.faces_seen == 2


@pytest.mark.slow
def test_differences_of_looks(stills, analyzer) -> None:
    """Between any two of six people above the bound; between frames of one far below it."""
    looks = []
    for still in stills:
        face = max(analyzer(still), key=lambda face: face.crop.side)
        looks.append(appearance(still, face))
    for i, look in enumerate(looks):
        own = Looks(look)
        assert difference(look, look) == pytest.approx(0, abs=1e-6)
        others = [own.difference(other) for j, other in enumerate(looks) if j != i]
        assert min(others) > 0.7 and np.median(others) > OTHER


def test_a_cut_is_no_pan_and_no_flash() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        cv2.resize(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        for _ in range(2)
    )
    finder = CutFinder()
    pan = [np.roll(one, 6 * k, axis=1) for k in range(8)]
    flash = [np.clip(pan[-1] * 1.3 + 25, 0, 255).astype(np.uint8), pan[-1]]
    assert not any(finder(frame) for frame in [*pan, *flash])
    assert [finder(frame) for frame in (other, other, one)] == [True, False, True]
    assert not CutFinder()(one)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_counts_as_unknown(tiny_model, rate) -> None:
    """As OpenCV says of streams."""
    follow = tracker(Scene(tiny_model, (100, 120, 80)), tiny_model, frame_rate=rate)
    assert follow.frame_rate == 25
    for time in (None, math.nan, math.inf, None, 0.5):
        assert [f.id for f in follow(place_picture(), time)] == [0]


@pytest.mark.parametrize(
    ("option", "value"),
    [("frame_rate", "fast"), ("frame_rate", None), ("detect_every", 0), ("detect_every", math.nan),
     ("patience", -1), ("patience", math.nan), ("smooth", "yes")],
)  # fmt: skip
def test_impossible_options_are_one_sentence(tiny_model, option, value) -> None:
    with pytest.raises(SynergyNetError, match=option):
        tracker(Scene(tiny_model), tiny_model, **{option: value})


@pytest.mark.parametrize(
    "values", [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, -1.0), (1.0, 1.0, 0.0)]
)
def test_impossible_filters_are_one_sentence(values) -> None:
    with pytest.raises(SynergyNetError, match="a finite number"):
        OneEuro(*values)
