"""Faces followed through made-up scenes whose truth is known; the filter on their parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import ASTRONAUT
from hypothesis import given, settings
from hypothesis import strategies as st
from known_answers import RATE, Scene, place_picture, tracker
from small_models import centred, random_params

from synergynet.geometry import params
from synergynet.geometry.crops import LANDMARK_BOX_PIXELS, CropBox, crop_from_landmarks
from synergynet.geometry.pose import transform_camera
from synergynet.pipeline import FaceAnalyzer
from synergynet.pipeline.face import Face
from synergynet.pipeline.smoothing import (
    FaceSmoother,
    FilteredArray,
    OneEuro,
    SmoothingConstants,
    blend,
    crop_affine,
)
from synergynet.pipeline.tracking import FaceTracker
from synergynet.regression import Prediction


class MuteScene(Scene):
    """The same with weights that cannot tell how far off they are."""

    def assess(self, crops: np.ndarray, /) -> Prediction:
        return replace(super().assess(crops), expected_nme=None)


def centre(face: Face) -> np.ndarray:
    return np.array(crop_from_landmarks(face.landmarks).center)


def test_faces_are_followed_between_looks_in_one_batch(tiny_model) -> None:
    scene = Scene(tiny_model, (100, 120, 80), (280, 150, 100))
    follow, picture = tracker(scene, tiny_model), place_picture()
    for frame in range(24):
        scene.faces = [(100 + 2 * frame, 120, 80), (280, 150 - frame, 100 + frame)]
        scene.batches.clear()
        faces = follow(picture)
        assert [f.id for f in faces] == [0, 1] and {f.age for f in faces} == {frame}
        for tracked, (x, y, side) in zip(faces, scene.faces, strict=True):
            assert centre(tracked.face) == pytest.approx((x, y), abs=2)
            assert crop_from_landmarks(tracked.face.landmarks).side == pytest.approx(side, abs=3)
            assert tracked.face.box[0] == tracked.face.landmarks[:, 0].min()
        assert faces[0].face.score == 0.9 and faces[1].face.score == pytest.approx(0.8)
        assert scene.batches == [2]  # once: the detector's crops are right
    assert scene.looks == 1
    follow(picture), follow(picture)
    assert scene.looks == 2  # one second after the first
    follow.reset()
    assert [f.id for f in follow(picture)] == [0, 1] and follow.faces_seen == 2


def test_new_faces_are_found_at_the_next_look(tiny_model) -> None:
    scene = Scene(tiny_model, (100, 120, 80))
    follow, picture = tracker(scene, tiny_model, detect_every=0.4), place_picture()
    follow(picture)
    scene.faces.append((280, 150, 100))
    counts = [len(follow(picture)) for _ in range(12)]
    assert counts == [1] * 9 + [2] * 3


def test_an_empty_scene_is_looked_at_five_times_a_second(tiny_model) -> None:
    scene = Scene(tiny_model)
    follow, picture = tracker(scene, tiny_model), place_picture()
    assert [follow(picture) for _ in range(25)] == [[]] * 25
    assert scene.looks == 5 and scene.batches == []


@pytest.mark.parametrize(("away", "same"), [(10, True), (80, False)])
def test_a_hidden_face_keeps_its_id_for_a_while(tiny_model, away, same) -> None:
    scene = Scene(tiny_model, (100, 120, 80), (280, 150, 100))
    follow, picture = tracker(scene, tiny_model, patience=2), place_picture()
    follow(picture)
    scene.faces = [(280, 150, 100)]
    for frame in range(away):
        assert [f.id for f in follow(picture)] == [1]
        if frame == 0:
            assert scene.looks == 2  # at once when a face is lost
    scene.faces.append((115, 125, 85))
    for _ in range(30):
        faces = follow(picture)
    assert sorted(f.id for f in faces) == ([0, 1] if same else [1, 2])
    if same:
        assert faces[0].age == faces[1].age


def test_a_face_that_jumps_is_another_one(tiny_model) -> None:
    """One that merely moves quickly is not, and its next crop is cut ahead of it."""
    scene = Scene(tiny_model, (60, 120, 80))
    follow, picture = tracker(scene, tiny_model), place_picture()
    for x in (60, 70, 85, 105, 130, 155):
        scene.faces = [(x, 120, 80)]
        (face,) = follow(picture)
        assert face.id == 0 and centre(face.face) == pytest.approx((x, 120), abs=2)
    assert scene.looks == 1 and face.face.crop.center[0] > 150
    scene.faces = [(330, 200, 80)]
    (face,) = follow(picture)
    assert face.id == 1 and face.age == 0 and scene.looks == 2


def test_two_tracks_on_one_face_become_one(tiny_model) -> None:
    scene = Scene(tiny_model, (150, 150, 100), (225, 150, 100))
    follow, picture = tracker(scene, tiny_model), place_picture()
    assert [f.id for f in follow(picture)] == [0, 1]
    scene.faces = [(170, 150, 100)]  # the second is gone; its track would slide onto the first
    assert [f.id for f in follow(picture)] == [0]


def test_without_confidence_the_detector_has_the_last_word(tiny_model) -> None:
    scene = MuteScene(tiny_model, (150, 150, 100))
    follow, picture = tracker(scene, tiny_model, detect_every=0.2), place_picture()
    assert len(follow(picture)) == 1 and follow(picture)[0].face.confidence is None
    scene.detect = lambda bgr: []
    counts = [len(follow(picture)) for _ in range(12)]
    assert counts[0] == 1 and counts[-1] == 0  # after two looks in vain
    sure = Scene(tiny_model, (150, 150, 100))
    follow = tracker(sure, tiny_model, detect_every=0.2)
    follow(picture)
    sure.detect = lambda bgr: []
    assert all(len(follow(picture)) == 1 for _ in range(12))


def test_a_doubtful_answer_is_replaced_by_the_detectors(tiny_model) -> None:
    class Lazy(Scene):
        """Sees a face only in crops that are well centred; elsewhere it is unsure."""

        def _answer(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
            raw, expected = super()._answer(crop)
            moved = abs(raw[3] - self.raw[3]) > 6
            return (self.raw, 5.0) if moved else (raw, expected)

    scene = Lazy(tiny_model, (150, 150, 100))
    follow, picture = tracker(scene, tiny_model), place_picture()
    for _ in range(6):
        follow(picture)
    scene.faces = [(162, 150, 100)]
    (face,) = follow(picture)
    assert scene.looks == 2 and face.id == 0
    assert centre(face.face) == pytest.approx((162, 150), abs=2)


def test_times_rule_and_broken_clocks_do_not_hurt(tiny_model) -> None:
    scene = Scene(tiny_model, (100, 120, 80))
    follow, picture = tracker(scene, tiny_model, smooth=True), place_picture()
    for time in (5.0, 5.5, 5.9, 5.9, 1.0, 6.3):
        assert len(follow(picture, time)) == 1
    assert scene.looks == 2  # 5.9 + 0.04 + 0.04 + ... passes 6.0 once
    # A picture of another size: nothing of the old one holds, and nothing fails.
    assert len(follow(picture[:250, :300], 7.0)) == 1
    rgb = picture[..., ::-1]
    assert len(follow(rgb, 8.0, channel_order="RGB")) == 1


def test_one_euro_by_hand() -> None:
    """alpha = 2 pi f dt / (1 + 2 pi f dt): Casiez et al. 2012, the appendix's formulas."""
    assert blend(1 / (2 * np.pi), 1.0) == pytest.approx(0.5)
    quarter = 1 / (2 * np.pi)  # a cutoff with which alpha = 1/2 at steps of 1 s
    filtered = FilteredArray(OneEuro(quarter, quarter, speed_cutoff=quarter))
    seen = [float(filtered(np.array([v]), 1.0, lambda d: abs(float(d[0])))[0]) for v in (0, 4, 4)]
    # Speeds 0, then (0 + 4) / 2 = 2, then 1: cutoffs 3 and 2 of that, alphas 3/4 and 2/3.
    assert seen == pytest.approx([0, 3, 3 + (4 - 3) * 2 / 3])


def plain_face(model, raw: np.ndarray, crop: CropBox, frame: str = "pixel") -> Face:
    return Face(
        box=(0, 0, 1, 1),
        score=1.0,
        params=raw,
        crop=crop,
        frame=frame,
        face_model=model,
        image_size=(480, 640),
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    frame=st.sampled_from(["pixel", "protocol"]),
    boxes=st.lists(
        st.tuples(st.floats(-50, 300), st.floats(-50, 300), st.integers(40, 400)), min_size=2
    ),
)
def test_a_face_at_rest_stays_whatever_its_crops_are(tiny_model, seed, frame, boxes) -> None:
    """The same face in the image, seen in other crops: its landmarks must not move at all."""
    raw = random_params(1, seed)[0]
    first = plain_face(tiny_model, raw, CropBox(100, 80, 200), frame)
    camera, shape, expression = params.split(raw)
    smoother = FaceSmoother()
    smoother(first, 0.04)
    for left, top, side in boxes:
        crop = CropBox(left, top, side).rounded()
        onto = crop_affine(plain_face(tiny_model, raw, crop, frame))
        back = np.linalg.inv(np.vstack([onto, [0, 0, 1]])) @ np.vstack(
            [crop_affine(first), [0, 0, 1]]
        )
        moved = params.join(transform_camera(camera, back[:2]), shape, expression)
        face = smoother(plain_face(tiny_model, moved, crop, frame), 0.04)
        assert face.crop == crop
        assert np.abs(face.landmarks - first.landmarks).max() < 1e-3


def wandering(model, paths: np.ndarray, noise: float, seed: int = 0) -> list[Face]:
    """One face per row of ``paths`` (n, 2): its place; parameters with noise, crops that follow."""
    rng = np.random.default_rng(seed)
    raw, out = centred(model, LANDMARK_BOX_PIXELS), []
    for x, y in paths:
        camera, shape, expression = params.split(raw + 0.0)
        camera = camera.copy()
        crop = CropBox.from_center(x, y, 170).rounded()
        camera[:2, 3] += np.array([x - crop.center[0], -(y - crop.center[1])]) * 120 / crop.side
        camera[:2, 3] += rng.normal(0, noise, 2)
        camera[:, :3] *= 1 + rng.normal(0, noise / 60)
        shape = shape + rng.normal(0, noise / 2, 40)
        expression = expression + rng.normal(0, noise / 2, 10)
        out.append(plain_face(model, params.join(camera, shape, expression), crop))
    return out


@pytest.mark.slow
def test_jitter_and_lag_of_the_shipped_constants(tiny_model) -> None:
    """Jitter at rest at least 3 times less, at less than one frame of lag in motion."""

    def landmarks(faces: list[Face], constants: SmoothingConstants | None) -> np.ndarray:
        smoother = FaceSmoother(constants)
        return np.array([smoother(face, 1 / RATE).landmarks[:, :2] for face in faces])

    off = SmoothingConstants(*[OneEuro(1e9, 0.0)] * 3)
    still = wandering(tiny_model, np.full((150, 2), 200.0), noise=0.1)
    raw, smooth = (landmarks(still, c)[25:] for c in (off, None))
    assert 0.1 < raw.std(axis=0).mean() < 0.5  # pixels, of a face of 120
    assert raw.std(axis=0).mean() > 3 * smooth.std(axis=0).mean()
    for frequency, amplitude in ((0.5, 12.0), (1.0, 30.0), (2.0, 12.0)):
        angle = 2 * np.pi * frequency * np.arange(100) / RATE
        path = np.stack([200 + amplitude * np.sin(angle), np.full(100, 200.0)], axis=1)
        x = landmarks(wandering(tiny_model, path, noise=0.1), None)[25:, :, 0].mean(axis=1)
        basis = np.stack([np.sin(angle), np.cos(angle), np.ones(100)], axis=1)[25:]
        sine, cosine, _ = np.linalg.lstsq(basis, x, rcond=None)[0]
        lag = np.arctan2(-cosine, sine) / (2 * np.pi * frequency) * RATE
        assert -0.1 < lag < 1


@pytest.mark.slow
def test_the_shipped_network_on_a_noisy_photo() -> None:
    from synergynet import read_image

    photo = read_image(ASTRONAUT)[:300, :400]
    rng = np.random.default_rng(0)
    analyzer = FaceAnalyzer(mirror=False, threads=1)
    both = [FaceTracker(analyzer, smooth=smooth) for smooth in (False, True)]
    tracks: list[list[np.ndarray]] = [[], []]
    for _ in range(45):
        noisy = np.clip(np.rint(photo + rng.normal(0, 4, photo.shape)), 0, 255).astype(np.uint8)
        for follow, points in zip(both, tracks, strict=True):
            (face,) = follow(noisy)
            assert face.id == 0
            points.append(face.face.landmarks[:, :2])
    raw, smooth = (np.array(points)[15:].std(axis=0).mean() for points in tracks)
    assert raw > 2.5 * smooth
    assert np.abs(np.mean(tracks[0], axis=0) - np.mean(tracks[1], axis=0)).max() < 1.5
