"""Z-buffer, shading and drawings, on meshes whose pictures are known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from known_answers import landmarks, sphere

from synergynet.geometry.pose import rotation_from_euler
from synergynet.rendering import (
    attributes,
    draw_axes,
    draw_landmarks,
    draw_mesh,
    raster_numpy,
    rasterize,
    rasterizer,
    vertex_normals,
)

BACKENDS = ["numpy", "numba"]


def _same(one: rasterizer.Raster, other: rasterizer.Raster) -> None:
    np.testing.assert_array_equal(one.triangle, other.triangle)
    np.testing.assert_array_equal(one.barycentric, other.barycentric)
    np.testing.assert_array_equal(one.depth, other.depth)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hand_made_triangle_covers_the_pixels_whose_centres_it_holds(backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    corners = np.array([[1.0, 1, 10], [5, 1, 14], [1, 5, 18]])
    raster = rasterize(corners, [[0, 1, 2]], 8, 7, backend=backend)
    y, x = np.mgrid[:8, :7]
    inside = (x >= 1) & (y >= 1) & (x + y <= 6)
    np.testing.assert_array_equal(raster.mask, inside)
    np.testing.assert_allclose(raster.barycentric[1, 1], [1, 0, 0])
    np.testing.assert_allclose(raster.barycentric[3, 3], [0, 0.5, 0.5])
    np.testing.assert_allclose(raster.depth[inside], (10 + (x - 1) + 2 * (y - 1))[inside])
    assert np.isneginf(raster.depth[~inside]).all()
    assert (raster.barycentric[~inside] == 0).all()
    np.testing.assert_allclose(
        raster.interpolate(corners, np.array([[0, 1, 2]])),
        np.stack([x, y, 10 + (x - 1) + 2 * (y - 1)], -1)[inside],
        atol=1e-5,
    )


@pytest.mark.slow
@pytest.mark.parametrize("cull", [False, True])
def test_numba_and_numpy_draw_the_same_pixels(cull: bool, monkeypatch) -> None:
    pytest.importorskip("numba")
    for seed in range(6):
        rng = np.random.default_rng(seed)
        points = rng.normal([40, 30, 0], [40, 30, 20], (60, 3))
        if seed % 2:
            points = np.round(points / 4) * 4  # corners on pixel centres, equal depths
        points[:3] = np.array([[np.nan], [np.inf], [1e300]])
        points[3:7] = rng.normal(0, 1e30, (4, 3))
        triangles = rng.integers(0, 60, (300, 3))
        fast = rasterize(points, triangles, 61, 83, cull_backfaces=cull, backend="numba")
        slow = rasterize(points, triangles, 61, 83, cull_backfaces=cull, backend="numpy")
        assert fast.mask.any()
        _same(fast, slow)
    monkeypatch.setattr(raster_numpy, "_FRAGMENTS", 501)  # many small chunks
    _same(fast, rasterize(points, triangles, 61, 83, cull_backfaces=cull, backend="numpy"))


def test_the_nearer_triangle_hides_the_farther_in_any_order() -> None:
    square = np.array([[0.0, 0], [9, 0], [9, 9], [0, 9]])
    points = np.concatenate([np.c_[square, np.full(4, 1.0)], np.c_[square, np.full(4, 2.0)]])
    far, near = [[0, 1, 2], [0, 2, 3]], [[4, 5, 6], [4, 6, 7]]
    for order, expected in ((far + near, {2, 3}), (near + far, {0, 1})):
        raster = rasterize(points, order, 10, 10)
        assert set(np.unique(raster.triangle)) == expected
        assert (raster.depth == 2).all()
    same_depth = rasterize(points, far + far, 10, 10)
    assert set(np.unique(same_depth.triangle)) == {0, 1}


def test_culling_keeps_the_outside() -> None:
    vertices, triangles = sphere((20, 20, 0), 12)
    whole = rasterize(vertices, triangles, 40, 40)
    culled = rasterize(vertices, triangles, 40, 40, cull_backfaces=True)
    np.testing.assert_array_equal(whole.mask, culled.mask)
    assert (culled.depth[culled.mask] > -0.5).all()
    inside_out = rasterize(vertices, triangles[:, ::-1], 40, 40, cull_backfaces=True)
    assert (inside_out.depth[inside_out.mask] < 0.5).all()


def test_without_numba_the_numpy_backend_takes_over(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "synergynet.rendering.compiled", raising=False)
    attributes.compiled_loops.cache_clear()
    try:
        assert attributes.compiled_loops(None) is None
        assert rasterize(np.eye(3), [[0, 1, 2]], 4, 4).mask.any()
        with pytest.raises(ImportError):
            rasterize(np.eye(3), [[0, 1, 2]], 4, 4, backend="numba")
    finally:
        attributes.compiled_loops.cache_clear()


@pytest.mark.parametrize(
    ("vertices", "triangles", "size", "word"),
    [
        (np.zeros((3, 2)), [[0, 1, 2]], (4, 4), "vertices"),
        (np.zeros((3, 3)), [[0, 1]], (4, 4), "triangles"),
        (np.zeros((3, 3)), [[0, 1, 3]], (4, 4), "outside"),
        (np.zeros((3, 3)), [[0, 1, -1]], (4, 4), "outside"),
        (np.zeros((3, 3)), [[0, 1, 2]], (0, 4), "picture"),
    ],
)
def test_wrong_meshes_are_named(vertices, triangles, size, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        rasterize(vertices, triangles, *size)
    with pytest.raises(ValueError, match="backend"):
        rasterize(np.eye(3), [[0, 1, 2]], 4, 4, backend="cuda")  # type: ignore[arg-type]


def test_normals_point_outward_and_lonely_vertices_have_none() -> None:
    vertices, triangles = sphere((5, 6, 7), 3, steps=40)
    normals = vertex_normals(np.vstack([vertices, [[99, 99, 99]]]), triangles)
    np.testing.assert_array_equal(normals[-1], 0)
    outward = (vertices - (5, 6, 7)) / 3
    cosine = (normals[:-1] * outward).sum(axis=1)
    used = np.linalg.norm(normals[:-1], axis=1) > 0
    assert cosine[used].min() > 0.99


def test_a_mesh_changes_the_photo_within_the_face_only() -> None:
    photo = np.full((120, 160, 3), (40, 80, 120), dtype=np.uint8)
    before = photo.copy()
    vertices, triangles = sphere((70, 60, 0), 30, steps=48)
    picture = draw_mesh(photo, [vertices], triangles)
    np.testing.assert_array_equal(photo, before)
    y, x = np.mgrid[:120, :160]
    distance = np.hypot(x - 70, y - 60)
    changed = (picture != photo).any(axis=2)
    assert not changed[distance > 31.5].any()
    assert changed[distance < 29].all()
    # Lit from above: the top is brighter than the bottom, and the photo shines through.
    assert picture[40, 70].mean() > picture[80, 70].mean() + 20
    assert picture[40, 70, 2] > picture[40, 70, 0]
    np.testing.assert_array_equal(draw_mesh(photo, [vertices], triangles, opacity=0.0), photo)
    np.testing.assert_array_equal(draw_mesh(photo, [], triangles), photo)
    np.testing.assert_array_equal(draw_mesh(photo, [vertices + 500], triangles), photo)
    np.testing.assert_array_equal(draw_mesh(photo, [vertices * np.nan], triangles), photo)


def test_the_larger_face_hides_the_smaller_wherever_it_comes() -> None:
    photo = np.zeros((100, 160, 3), dtype=np.uint8)
    near, triangles = sphere((60, 50, -500), 40, steps=48)
    far, _ = sphere((105, 50, 500), 20, steps=48)
    alone = draw_mesh(photo, [near], triangles)
    for order in ([near, far], [far, near]):
        both = draw_mesh(photo, order, triangles)
        y, x = np.mgrid[:100, :160]
        within = np.hypot(x - 60, y - 50) < 38.5
        np.testing.assert_array_equal(both[within], alone[within])
        assert (both[50, 110:120] > 0).all()


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_landmarks_are_drawn_where_they_are(scale: float) -> None:
    photo = np.full((int(200 * scale) + 60, int(200 * scale) + 60, 3), 30, dtype=np.uint8)
    points = np.round(landmarks(scale, (100 * scale + 30, 100 * scale + 30)))
    picture = draw_landmarks(photo, points)
    x, y = points.astype(int).T
    # A dot is brightest at its own pixel.
    peak = picture[y, x].mean(axis=1)
    assert (peak > 120).all() if scale < 1 else (peak > 250).all()
    low, high = points.min(axis=0) - 12 * scale, points.max(axis=0) + 12 * scale
    yy, xx = np.mgrid[: photo.shape[0], : photo.shape[1]]
    outside = (xx < low[0]) | (xx > high[0]) | (yy < low[1]) | (yy > high[1])
    np.testing.assert_array_equal(picture[outside], photo[outside])
    # The jaw's line joins points 0 and 1.
    middle = np.round((points[0] + points[1]) / 2).astype(int)
    assert picture[middle[1], middle[0], 1] > 60
    # Several faces at once are one face after the other.
    shifted = points + 5
    np.testing.assert_array_equal(
        draw_landmarks(photo, np.stack([points, shifted])), draw_landmarks(picture, shifted)
    )


def test_axes_start_at_the_nose_tip_and_follow_the_rotation() -> None:
    photo = np.zeros((200, 200, 3), dtype=np.uint8)
    points = landmarks()
    nose = points[30]
    frontal = draw_axes(photo, points, np.eye(3))
    right, up = np.add(nose, (40, 0)).astype(int), (nose - (0, 40)).astype(int)
    assert frontal[right[1], right[0]].argmax() == 2  # X red, to the picture's right
    assert frontal[up[1], up[0]].argmax() == 1  # Y green, up
    assert frontal[int(nose[1]), int(nose[0])].argmax() == 0  # Z blue, at the viewer
    beyond = np.add(nose, (56, 0)).astype(int)
    assert not frontal[beyond[1], beyond[0]].any()
    # Positive yaw turns the face to the picture's left, so the blue axis points there.
    turned = draw_axes(photo, points, rotation_from_euler(0, 90, 0))
    left = (nose - (40, 0)).astype(int)
    assert turned[left[1], left[0]].argmax() == 0


def test_wild_points_do_no_harm() -> None:
    photo = np.full((1, 1, 3), 7, dtype=np.uint8)
    for points in (landmarks(), landmarks() * np.nan, landmarks(1e9), landmarks(0.0)):
        assert draw_landmarks(photo, points).shape == photo.shape
        assert draw_axes(photo, points, np.eye(3)).shape == photo.shape
    large = np.zeros((300, 300, 3), dtype=np.uint8)
    assert draw_landmarks(large, landmarks(1e9)).shape == large.shape
    np.testing.assert_array_equal(draw_landmarks(large, landmarks() * np.nan), large)
