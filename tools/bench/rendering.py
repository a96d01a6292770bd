"""Time the rasteriser, every drawing and every mesh file; measure what placing a face costs.

python tools/bench/rendering.py examples/astronaut.jpg --side 640

Times are processor time (``time.process_time``), which other programs disturb less than wall
time; with --wall the clock on the wall.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray
from shared.command import Parser, run
from shared.pictures import read_scaled
from shared.timing import milliseconds

from synergynet import FaceAnalyzer
from synergynet.face_model.open_head import load_open_head
from synergynet.geometry.pose import nearest_rotation, rotation_from_euler
from synergynet.outputs.kinds import DRAWINGS, MESHES, resolve
from synergynet.outputs.meshes import place_in_camera
from synergynet.outputs.pictures import Pictures
from synergynet.rendering import rasterize


def main() -> None:
    parser = Parser(__doc__)
    parser.add_photo()
    parser.add_argument("--wall", action="store_true", help="wall time instead of processor time")
    args = parser.parse_args()
    clock = time.perf_counter if args.wall else time.process_time

    def report(name: str, step: Callable[[], object], runs: int = args.runs) -> None:
        times = milliseconds(step, runs, clock=clock)
        print(f"  {name:36} {median(times):8.2f} ms   (least {min(times):.2f})")

    image = read_scaled(args.photo, args.side)
    print(f"{'wall' if args.wall else 'processor'} time, median of {args.runs} runs:")
    mesh = ellipsoid(200)
    print(f"  a mesh of {len(mesh[0])} vertices and {len(mesh[1])} triangles, 640 x 480:")
    report("rasterised", lambda: rasterize(*mesh, 480, 640))
    report("rasterised, NumPy", lambda: rasterize(*mesh, 480, 640, backend="numpy"), runs=3)
    faces = FaceAnalyzer(threads=1)(image)
    for face in faces:
        _ = face.vertices
    print(f"  {len(faces)} face(s) in {image.shape[1]} x {image.shape[0]} pixels:")
    for kind in DRAWINGS:
        if kind == "uv":
            report("uv, 1024 x 1024", lambda: Pictures(image, faces).texture(0), runs=3)
        else:
            report(kind, lambda kind=kind: Pictures(image, faces).draw(kind))  # type: ignore[misc]
    head = Pictures(image, faces).mesh(0, "head")
    for name, form in MESHES.items():
        report(name, lambda form=form: resolve(form.home)(head, "face"), runs=3)  # type: ignore[misc]
    placement_error()


def ellipsoid(steps: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A closed mesh of steps x steps vertices that nearly fills 640 x 480 pixels."""
    polar, turn = np.meshgrid(np.linspace(0, np.pi, steps), np.linspace(0, 2 * np.pi, steps))
    x, y, z = np.sin(polar) * np.cos(turn), -np.cos(polar), np.sin(polar) * np.sin(turn)
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3) * (200, 220, 200) + (320, 240, 0)
    cell = np.arange(steps * steps, dtype=np.int32).reshape(steps, steps)
    a, b, c, d = (q.ravel() for q in (cell[:-1, :-1], cell[:-1, 1:], cell[1:, 1:], cell[1:, :-1]))
    return points, np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)])


def placement_error(people: int = 200, focal: float = 1000.0, side: int = 1000) -> None:
    """Random people before a pinhole camera, fitted by weak perspective and put back."""
    model = load_open_head()
    rng = np.random.default_rng(0)
    print(f"placement in camera space, {people} people per row, focal {focal:.0f}, known shape:")
    print("  distance mm   distance error %   landmarks mm   landmarks mm, less distance   px")
    for distance in (300.0, 500.0, 800.0, 1200.0, 2000.0):
        errors = []
        for _ in range(people):
            head = model.landmarks(rng.normal(size=40), rng.normal(size=10)).astype(np.float64)
            turn = rotation_from_euler(*rng.uniform([-25, -50, -25], [25, 50, 25]))
            sideways = rng.uniform(-0.3, 0.3, 2) * distance
            true = (head - head.mean(axis=0)) @ turn.T + [*sideways, -distance]
            image = project(true, focal, side)
            scale, rotation = weak_perspective(head, image)
            linear, offset = place_in_camera(
                rotation, scale, image.mean(axis=0), head.mean(axis=0), (side, side), focal
            )
            placed = head @ linear.T + offset
            ratio = placed[:, 2].mean() / true[:, 2].mean()
            gaps = (placed - true, placed / ratio - true, project(placed, focal, side) - image)
            distances = [np.linalg.norm(gap, axis=1).mean() for gap in gaps]
            errors.append([100 * abs(ratio - 1), *distances])
        print("  {:8.0f} {:16.2f} {:16.1f} {:20.2f} {:16.2f}".format(distance, *np.mean(errors, 0)))


def project(points: NDArray[np.float64], focal: float, side: int) -> NDArray[np.float64]:
    """(n, 3) of the camera's frame, looking along -z with y up -> (n, 2) image frame."""
    flat: NDArray[np.float64] = points[:, :2] / -points[:, 2:] * focal * (1, -1) + (side - 1) / 2
    return flat


def weak_perspective(
    head: NDArray[np.float64], image: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Scale and rotation that project (n, 3) to about (n, 2) of the image frame."""
    flat = (image - image.mean(axis=0)) * (1, -1)
    rows = np.linalg.lstsq(head - head.mean(axis=0), flat, rcond=None)[0].T
    scale = float(np.linalg.svd(rows, compute_uv=False).mean())
    unit = rows / scale
    return scale, np.asarray(nearest_rotation(np.vstack([unit, np.cross(unit[0], unit[1])])))


if __name__ == "__main__":
    run(main)
