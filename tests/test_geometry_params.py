"""The 62-parameter layout, whitening, conventions and landmark tables."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from synergynet.geometry import landmarks, params
from synergynet.geometry.conventions import Conventions
from synergynet.geometry.params import Whitening


def test_split_is_row_major_and_join_inverts() -> None:
    raw = np.arange(2 * 62, dtype=float).reshape(2, 62)
    camera, shape, expression = params.split(raw)
    np.testing.assert_array_equal(camera[0], np.arange(12).reshape(3, 4))
    assert shape[0, 0] == 12 and expression[0, 0] == 52 and expression[0, -1] == 61
    np.testing.assert_array_equal(params.join(camera, shape, expression), raw)
    assert params.join(*params.split(raw[0])).shape == (62,)
    with pytest.raises(ValueError, match="102 numbers"):
        params.split(np.zeros((3, 102)))


def test_whitening_round_trip() -> None:
    rng = np.random.default_rng(0)
    whitening = Whitening(rng.normal(size=62), rng.uniform(0.1, 5, 62))
    raw = rng.normal(size=(4, 62))
    np.testing.assert_allclose(whitening.dewhiten(whitening.whiten(raw)), raw)
    np.testing.assert_array_equal(whitening.dewhiten(np.zeros(62)), whitening.mean)
    assert whitening.mean.dtype == np.float32


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (np.zeros(102), np.ones(62), r"mean has shape \(102,\)"),
        (np.zeros(62), np.ones((62, 1)), "std has shape"),
        (np.zeros(62), np.zeros(62), "positive"),
        (np.zeros(62), -np.ones(62), "positive"),
        (np.full(62, np.nan), np.ones(62), "not finite"),
        (np.zeros(62), np.full(62, np.inf), "not finite"),
    ],
)
def test_whitening_refuses(mean, std, message) -> None:
    with pytest.raises(ValueError, match=message):
        Whitening(mean, std)


def test_official_whitening_is_the_published_one(shared_data) -> None:
    from synergynet.face_model.official import load_whitening

    published = shared_data.parent / "spec" / "whitening_62_and_keypoints.json"
    whitening = load_whitening(shared_data / "3dmm_data" / "param_whitening.pkl")
    assert whitening.mean[0] == np.float32(0.000316017627)
    assert whitening.std[61] == np.float32(0.241093487)
    if published.is_file():
        assert any(
            np.allclose(whitening.mean, vector, rtol=1e-6)
            for vector in _vectors(json.loads(published.read_text()))
        )


def _vectors(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from _vectors(value)
    elif isinstance(node, list) and len(node) == 62:
        yield node


def test_conventions_name_every_official_quirk() -> None:
    official, exact = Conventions.official(), Conventions.exact()
    assert exact == Conventions()
    changed = [
        f.name for f in fields(official) if getattr(official, f.name) != getattr(exact, f.name)
    ]
    assert changed == [f.name for f in fields(official)]  # every switch switches something
    assert (official.euler, official.border, official.validation_std) == ("official", 5, 130)


def test_mirror_table_is_an_involution_that_swaps_sides() -> None:
    mirror = landmarks.MIRROR
    np.testing.assert_array_equal(mirror[mirror], np.arange(68))
    middle = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    np.testing.assert_array_equal(np.flatnonzero(mirror == np.arange(68)), middle)
    for right, left in (
        (landmarks.RIGHT_BROW, landmarks.LEFT_BROW),
        (landmarks.RIGHT_EYE, landmarks.LEFT_EYE),
    ):
        assert set(mirror[right].tolist()) == set(range(left.start, left.stop))
    assert mirror[36] == 45 and mirror[48] == 54 and mirror[60] == 64  # outer corners


def test_draw_groups_cover_every_landmark_once() -> None:
    covered = [i for part, _ in landmarks.DRAW_GROUPS for i in range(part.start, part.stop)]
    assert covered == list(range(68))


def test_mirror_table_matches_the_mean_face(bfm) -> None:
    mean = bfm.landmark_mean
    distance = np.linalg.norm(mean[landmarks.MIRROR] * [-1, 1, 1] - mean, axis=1)
    assert distance.max() * bfm.millimetres_per_unit < 1.5
    assert mean[landmarks.RIGHT_EYE, 0].max() < 0 < mean[landmarks.LEFT_EYE, 0].min()
    assert mean[:, 2].argmax() == landmarks.NOSE_TIP
