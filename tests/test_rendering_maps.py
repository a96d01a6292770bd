"""Depth, PNCC, normals, boxes and textures, against references of a few lines of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from known_answers import landmarks, sphere

from synergynet.geometry.pose import rotation_from_euler
from synergynet.rendering import (
    as_colors,
    depth_map,
    draw_box,
    encode_depth,
    lay_over,
    normal_map,
    open_seam,
    pncc_codes,
    pncc_map,
    rasterize,
    sample_texture,
    vertex_colors,
    vertex_normals,
    view_meshes,
)
from synergynet.rendering.draw import pose_box
from synergynet.rendering.maps import DEPTH_MIDDLE, DEPTH_STEP
from synergynet.rendering.overlay import shade
from synergynet.rendering.texture import fill_smoothly

HEIGHT, WIDTH = 50, 70


def reference(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel against every front-facing triangle: (H, W) depth, (H, W, V) weights."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    depth = np.full((HEIGHT, WIDTH), -np.inf)
    weights = np.zeros((HEIGHT, WIDTH, len(vertices)))
    for corners in triangles:
        a, b, c = vertices[corners]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if area >= 0:  # y down: the outside runs clockwise
            continue
        wb = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
        wc = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
        wa = 1 - wb - wc
        z = wa * a[2] + wb * b[2] + wc * c[2]
        nearer = (wa >= -1e-12) & (wb >= -1e-12) & (wc >= -1e-12) & (z > depth)
        depth[nearer] = z[nearer]
        weights[nearer] = 0
        for corner, w in zip(corners, (wa, wb, wc), strict=True):
            weights[nearer, corner] += w[nearer]
    return depth, weights


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_depth_and_pncc_are_what_plain_numpy_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vertices = rng.uniform([-5, -5, -40], [WIDTH + 5, HEIGHT + 5, 40], (40, 3))
    triangles = rng.integers(0, 40, (60, 3))
    mean = rng.normal(size=(40, 3)) * [60, 90, 50]
    codes = (mean - mean.min(0)) / (mean.max(0) - mean.min(0))
    expected, weights = reference(vertices, triangles)
    scale = 0.5  # pixels per millimetre
    views = view_meshes([vertices], triangles, HEIGHT, WIDTH, scales=[scale])
    depth = depth_map(views, HEIGHT, WIDTH)
    np.testing.assert_array_equal(np.isfinite(depth), np.isfinite(expected))
    seen = np.isfinite(expected)
    assert seen.sum() > 1000
    millimetres = (expected - vertices[:, 2].mean()) / scale
    np.testing.assert_allclose(depth[seen], millimetres[seen], atol=1e-3)
    np.testing.assert_allclose(pncc_codes(mean), codes, atol=1e-6)
    pncc = pncc_map(views, triangles, pncc_codes(mean), HEIGHT, WIDTH)
    np.testing.assert_allclose(pncc, weights @ codes, atol=1e-4)
    assert (pncc[~seen] == 0).all()


def test_a_sphere_has_the_depth_and_the_normals_of_a_sphere() -> None:
    vertices, triangles = sphere((35, 25, 7), 20, steps=80)
    views = view_meshes([vertices], triangles, HEIGHT, WIDTH, scales=[2.0])
    depth = depth_map(views, HEIGHT, WIDTH)
    assert depth[25, 35] == pytest.approx(10.0, abs=0.05)  # 20 pixels at 2 pixels per millimetre
    normals = normal_map(views, triangles, [vertices], HEIGHT, WIDTH)
    for (y, x), expected in {
        (25, 35): (0, 0, 1),
        (25, 45): (0.5, 0, np.sqrt(0.75)),
        (15, 35): (0, 0.5, np.sqrt(0.75)),  # up in the picture is +y
    }.items():
        np.testing.assert_allclose(normals[y, x], expected, atol=0.04)
    assert (normals[0, 0] == 0).all()
    # As a picture: x red, y green, z blue.
    assert as_colors(np.array([[1.0, 0.5, 0.0]])).tolist() == [[0, 128, 255]]


def test_nearer_faces_hide_farther_ones_in_one_depth() -> None:
    near, triangles = sphere((30, 25, -500), 20, steps=40)
    far, _ = sphere((50, 25, 500), 10, steps=40)
    for order in ([near, far], [far, near]):
        scales = [1.0 if mesh is near else 0.5 for mesh in order]
        views = view_meshes(order, triangles, HEIGHT, WIDTH, scales=scales, focal=100.0)
        assert [order[v.number] is near for v in views] == [True, False]
        depth = depth_map(views, HEIGHT, WIDTH)
        # 100 mm and 200 mm from the camera: focal over scale.
        assert depth[25, 30] == pytest.approx(20, abs=0.2)
        assert depth[25, 55] == pytest.approx(-100 + np.sqrt(75) / 0.5, abs=0.5)
        assert depth[25, 45] > 0  # both are here
        assert not views[1].visible[:, : 45 - views[1].box[0]].any()
    # Without scales the larger one is nearer.
    views = view_meshes([far, near], triangles, HEIGHT, WIDTH)
    assert [view.number for view in views] == [1, 0]
    outside = [near + 1000, near * np.nan, near]
    assert [v.number for v in view_meshes(outside, triangles, HEIGHT, WIDTH)] == [2]
    with pytest.raises(ValueError, match="scales"):
        view_meshes([near], triangles, HEIGHT, WIDTH, scales=[1.0, 2.0])


def test_depth_is_coded_in_16_bits() -> None:
    depth = np.full((4, 5), -np.inf, dtype=np.float32)
    values, step = encode_depth(depth)
    assert step == DEPTH_STEP and not values.any()
    depth[1, 2], depth[2, 2] = 100.0, -60.0
    values, step = encode_depth(depth)
    assert values.dtype == np.uint16 and step == 0.005
    assert (values[1, 2], values[2, 2], values[0, 0]) == (32768 + 20000, 32768 - 12000, 0)
    depth[3, 3] = -3000.0
    values, step = encode_depth(depth)
    back = (values.astype(float) - DEPTH_MIDDLE) * step
    seen = values > 0
    np.testing.assert_array_equal(seen, np.isfinite(depth))
    np.testing.assert_allclose(back[seen], depth[seen], atol=step / 2)


def test_layers_are_blended_where_they_are() -> None:
    photo = np.full((2, 3, 3), 100, dtype=np.uint8)
    layer = np.full((2, 3, 3), 200, dtype=np.uint8)
    mask = np.zeros((2, 3), dtype=bool)
    mask[0, 1] = True
    out = lay_over(photo, layer, mask, 0.25)
    assert out[0, 1].tolist() == [125] * 3 and (np.delete(out.reshape(6, 3), 1, 0) == 100).all()


def test_compiled_loops_and_numpy_agree() -> None:
    pytest.importorskip("numba")
    vertices, triangles = sphere((35, 25, 7), 20, steps=30)
    fast = vertex_normals(vertices, triangles, backend="numba")
    np.testing.assert_allclose(
        fast, vertex_normals(vertices, triangles, backend="numpy"), atol=1e-12
    )
    raster = rasterize(vertices, triangles, HEIGHT, WIDTH)
    one, other = (shade(raster, fast, triangles, backend=b) for b in ("numba", "numpy"))
    np.testing.assert_allclose(one, other, atol=2e-6)
    assert one[25, 35, 1] == 1 and not one[0, 0].any()


def test_the_pose_box_holds_the_landmarks_and_turns_with_the_head() -> None:
    rng = np.random.default_rng(0)
    head = rng.uniform([-60, -80, -50], [60, 80, 40], (68, 3))
    upright = np.array([1, -1, 1])
    boxes = {}
    for yaw in (0, 40):
        rotation = rotation_from_euler(0, yaw, 0)
        corners = pose_box(head @ rotation.T * upright + (200, 150, 0), rotation)
        boxes[yaw] = (corners - (200, 150, 0)) * upright @ rotation
    np.testing.assert_allclose(boxes[0], boxes[40], atol=1e-9)
    low, high = boxes[0].min(axis=0), boxes[0].max(axis=0)
    assert (low < head.min(axis=0)).all() and (high > head.max(axis=0)).all()
    np.testing.assert_array_equal(boxes[0][7], high)
    np.testing.assert_array_equal(boxes[0][1], [high[0], low[1], low[2]])
    # Parallel edges stay parallel: weak perspective has no vanishing point.
    corners = pose_box(head, rotation_from_euler(10, 30, 5))
    np.testing.assert_allclose(corners[1] - corners[0], corners[7] - corners[6], atol=1e-9)
    photo = np.zeros((300, 400, 3), dtype=np.uint8)
    points = head * upright + (200, 150, 0)
    picture = draw_box(photo, points, np.eye(3))
    x, y = np.rint(pose_box(points, np.eye(3))[5][:2]).astype(int)  # a corner in front
    assert picture[y, x].argmax() == 2  # yellow
    faint = draw_box(photo, points, np.eye(3), opacity=0.5)
    assert 0 < faint[y, x, 2] < picture[y, x, 2]
    flat = np.column_stack([landmarks(), np.full(68, np.nan)])
    np.testing.assert_array_equal(draw_box(photo, flat, np.eye(3)), photo)


def half_cylinder(steps: int = 25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (millimetres, y up), triangles and symmetric texture coordinates of a face."""
    turn, up = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, steps), np.linspace(-1, 1, steps))
    points = np.stack([60 * np.sin(turn), 80 * up, 60 * np.cos(turn)], -1).reshape(-1, 3)
    uv = np.stack([turn / np.pi * 0.9 + 0.5, up * 0.45 + 0.5], -1).reshape(-1, 2)
    cell = np.arange(steps * steps).reshape(steps, steps)
    a, b, c, d = (q.ravel() for q in (cell[:-1, :-1], cell[:-1, 1:], cell[1:, 1:], cell[1:, :-1]))
    return points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]), uv


def test_a_texture_holds_the_photo_and_the_hidden_side_its_mirror_image() -> None:
    mean, triangles, uv = half_cylinder()
    layout = open_seam(mean, uv, triangles)
    assert layout.n_added == 0 and layout.sound.all()
    np.testing.assert_array_equal(layout.uv, uv)
    # Red above, green below, the same left and right; the head turned to the side.
    photo = np.zeros((200, 200, 3), dtype=np.uint8)
    photo[:100, :, 2], photo[100:, :, 1] = 200, 200
    turned = mean @ rotation_from_euler(0, 50, 0).T * (1, -1, 1) + (100, 100, 0)
    texture = sample_texture(photo, turned, triangles, layout, mean, size=128)
    assert texture.image.shape == (128, 128, 3)
    seen = texture.seen > 0.99
    assert 0.25 < seen[texture.covered].mean() < 0.8
    rows, columns = np.nonzero(seen)
    # Row 0 is v = 1, the top of the head.
    top = rows < 60
    assert (texture.image[rows[top], columns[top], 2] > 180).all()
    assert (texture.image[rows[rows > 68], columns[rows > 68], 1] > 180).all()
    hidden = texture.covered & (texture.mirrored > 0.99)
    assert hidden.sum() > 1000 and not (hidden & seen).any()
    # u grows to the subject's left; positive yaw hides the side at the picture's left.
    assert np.nonzero(hidden)[1].mean() < 50 < np.nonzero(seen)[1].mean()
    assert (texture.image[:60][hidden[:60]][:, 2] > 150).all()
    assert (texture.image[68:][hidden[68:]][:, 1] > 150).all()
    # Something before the face is not painted onto it.
    before = np.ones(photo.shape[:2], dtype=bool)
    nothing = sample_texture(photo, turned, triangles, layout, mean, size=32, hidden=before)
    assert not nothing.seen.any() and len(np.unique(nothing.image)) == 1
    with pytest.raises(ValueError, match="too small"):
        sample_texture(photo, turned, triangles, layout, mean, size=4)


def test_vertex_colors_come_from_the_photo_and_spread_to_hidden_vertices() -> None:
    mean, triangles, _ = half_cylinder()
    photo = np.zeros((200, 200, 3), dtype=np.uint8)
    photo[:100, :, 2], photo[100:, :, 1] = 200, 200
    turned = mean @ rotation_from_euler(0, 50, 0).T * (1, -1, 1) + (100, 100, 0)
    colors = vertex_colors(photo, turned, triangles)
    above, below = mean[:, 1] > 40, mean[:, 1] < -40
    assert (colors[above].argmax(axis=1) == 2).all() and (colors[below].argmax(axis=1) == 1).all()
    assert (colors.max(axis=1) > 90).all()


def test_a_seam_is_opened() -> None:
    """A closed cylinder whose seam at the back has one coordinate per vertex."""
    steps, rows = 40, 12
    turn, up = np.meshgrid(np.arange(steps) / steps * 2 * np.pi, np.linspace(-1, 1, rows))
    mean = np.stack([-60 * np.sin(turn), 80 * up, -60 * np.cos(turn)], -1).reshape(-1, 3)
    uv = np.stack([0.05 + 0.9 * turn / (2 * np.pi), up * 0.45 + 0.5], -1).reshape(-1, 2)
    cell = np.arange(rows * steps).reshape(rows, steps)
    after = np.roll(cell, -1, axis=1)
    a, b, c, d = (q.ravel() for q in (cell[:-1], after[:-1], after[1:], cell[1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    spread = np.ptp(uv[triangles], axis=1).max(axis=1)
    assert (spread > 0.5).sum() == 2 * (rows - 1)
    layout = open_seam(mean, uv, triangles)
    assert layout.sound.all() and layout.n_added == rows
    np.testing.assert_array_equal(layout.source[layout.triangles], triangles)
    assert np.ptp(layout.uv[layout.triangles], axis=1).max() < 0.15
    # Each side goes on as it came: the copies on the seam lie at the other end.
    ends = layout.uv[layout.source % steps == 0, 0]
    np.testing.assert_allclose(np.sort(ends), [0.05] * rows + [0.95] * rows, atol=0.03)
    far = np.abs(uv[:, 0] - 0.5) < 0.3
    np.testing.assert_array_equal(layout.uv[: len(uv)][far], uv[far])


def test_holes_are_filled_smoothly() -> None:
    colors = np.zeros((40, 41, 1), dtype=np.float32)
    weight = np.zeros((40, 41), dtype=np.float32)
    weight[:, :5] = weight[:, -5:] = 1
    colors[:, -5:] = 100
    filled = fill_smoothly(colors, weight)
    np.testing.assert_array_equal(filled[weight == 1], colors[weight == 1])
    middle = filled[20, 5:-5, 0]
    assert (np.diff(middle) > -8).all() and 25 < middle[len(middle) // 2] < 75
    empty = fill_smoothly(np.zeros((7, 9, 3), np.float32), np.zeros((7, 9), np.float32))
    assert (empty == 127.5).all()
