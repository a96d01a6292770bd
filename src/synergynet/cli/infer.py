"""``synergynet infer``: photos in; JSON, pictures and meshes out."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SynergyNetError

if TYPE_CHECKING:
    from rich.console import Console

    from ..pipeline import Face, FaceAnalyzer

_DRAWINGS = ("landmarks", "pose", "mesh")


def _parse_draw(value: str) -> str:
    names = [name.strip() for name in value.split(",")]
    if names != ["none"] and not set(names) <= set(_DRAWINGS):
        raise typer.BadParameter(f"'{value}'; give a list of {', '.join(_DRAWINGS)}, or none")
    return ",".join(names)


def infer(
    photos: Annotated[list[Path], typer.Argument(help="Photos.", metavar="PHOTO...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "output"
    ),
    weights: Annotated[
        str | None,
        typer.Option(help=".onnx, .safetensors or .pth.tar. Default: the shipped network."),
    ] = None,
    face_model: Annotated[
        str | None,
        typer.Option(help="'open-head' (default), a 3dmm_data folder, or an .npz face model."),
    ] = None,
    draw: Annotated[
        str,
        typer.Option(
            callback=_parse_draw, help="Pictures: any of landmarks,pose,mesh (commas), or none."
        ),
    ] = ",".join(_DRAWINGS),
    obj: Annotated[bool, typer.Option(help="Write each face's mesh as OBJ.")] = True,
    device: Annotated[str, typer.Option(help="Where the network runs: cpu or cuda.")] = "cpu",
    timings: Annotated[bool, typer.Option(help="Print the time of each step.")] = False,
) -> None:
    """Find every face of the photos: 68 3D landmarks, head pose, coefficients, mesh.

    Writes NAME.json for each photo, NAME_landmarks, NAME_pose and NAME_mesh pictures, and
    NAME_face0.obj and so on. A photo without a face is no error; its JSON says so.
    """
    from rich.console import Console

    from ..pipeline import FaceAnalyzer
    from .main import report_error

    out = Console(highlight=False, markup=False, soft_wrap=True)
    clock = time.perf_counter()
    analyzer = FaceAnalyzer(weights=weights, face_model=face_model, device=device)
    if timings:
        out.print(f"models loaded in {_ms(time.perf_counter() - clock)}")
    kinds = [] if draw == "none" else draw.split(",")
    different = list(dict.fromkeys(photos))
    failed = 0
    for photo, stem in zip(different, output_stems(different, output), strict=True):
        try:
            _process(photo, output / stem, analyzer, kinds, obj, timings, out)
        except SynergyNetError as error:
            report_error(error)
            failed += 1
    if failed:
        if len(different) > 1:
            report_error(f"{failed} of {len(different)} photos failed")
        raise typer.Exit(1)


def output_stems(photos: list[Path], output: Path) -> list[str]:
    """A different stem for each photo's results, none of which overwrites a photo.

    The photo's own stem where it is free, else ``stem-2``, ``stem-3`` and so on; compared
    without case, as some file systems do.
    """
    inputs = {str(photo.absolute()).casefold() for photo in photos}
    folder, used, stems = output.absolute(), set(), []
    for photo in photos:
        stem, number = photo.stem, 1
        while stem.casefold() in used or any(
            str(folder / (stem + ending)).casefold() in inputs
            for ending in (".json", *(f"_{k}{s}" for k in _DRAWINGS for s in (".jpg", ".png")))
        ):
            number += 1
            stem = f"{photo.stem}-{number}"
        used.add(stem.casefold())
        stems.append(stem)
    return stems


def _process(
    photo: Path,
    base: Path,
    analyzer: FaceAnalyzer,
    kinds: list[str],
    obj: bool,
    timings: bool,
    out: Console,
) -> None:
    """Analyse one photo and write its files, ``base`` being their folder and stem."""
    from ..pipeline import read_image, writers

    marks = [time.perf_counter()]
    image = read_image(photo)
    marks.append(time.perf_counter())
    analysis = analyzer.analyze(image)
    faces = analysis.faces
    marks.append(time.perf_counter())
    if obj and faces:
        writers.check_triangles(faces)
    pictures = {kind: writers.draw_faces(image, faces, kind) for kind in kinds if faces}
    marks.append(time.perf_counter())
    writers.remove_results(base)
    suffix = ".png" if photo.suffix.lower() == ".png" else ".jpg"
    names = [f"{base.name}.json"]
    for kind, picture in pictures.items():
        names.append(writers.write_picture(_append(base, f"_{kind}{suffix}"), picture).name)
    meshes = [_append(base, f"_face{number}.obj") for number in range(len(faces) if obj else 0)]
    for path, face in zip(meshes, faces, strict=False):
        writers.write_obj(path, face, image.shape[0])
    names += [path.name for path in ([meshes[0], meshes[-1]] if len(meshes) > 2 else meshes)]
    if len(meshes) > 2:
        names.insert(-1, "...")
    # The JSON comes last: where it is, everything is.
    writers.write_json(_append(base, ".json"), str(photo), image, faces)
    marks.append(time.perf_counter())

    out.print(f"{photo}: {_count(faces)} in {image.shape[1]} x {image.shape[0]} pixels")
    for number, face in enumerate(faces):
        angles = ", ".join(
            f"{name} {round(getattr(face.pose, name), 1) + 0.0:+.1f}"
            for name in ("yaw", "pitch", "roll")
        )
        out.print(f"  face {number}: score {face.score:.2f}, {angles} degrees")
    out.print(f"  -> {base.parent}: {', '.join(names)}")
    if timings:
        reading, _, drawing, writing = (b - a for a, b in itertools.pairwise(marks))
        parts = analysis.timings
        out.print(
            f"  reading {_ms(reading)}, detection {_ms(parts.detection)}, regression "
            f"{_ms(parts.regression)}, decode {_ms(parts.decode)}, drawing {_ms(drawing)}, "
            f"writing {_ms(writing)}"
        )


def _append(base: Path, ending: str) -> Path:
    return base.with_name(base.name + ending)


def _count(faces: list[Face]) -> str:
    from ..pipeline.writers import NO_FACE

    return f"{len(faces)} face{'s' if len(faces) > 1 else ''}" if faces else NO_FACE


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
