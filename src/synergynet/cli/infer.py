"""``synergynet infer``: photos in; JSON, pictures and meshes out."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..errors import SynergyNetError

if TYPE_CHECKING:
    from rich.console import Console

    from ..pipeline import Face, FaceAnalyzer
    from ..pipeline.mesh_files import Space
    from ..pipeline.writers import Pictures

_DEFAULT = ("landmarks", "pose", "mesh")
_DRAWINGS = ("landmarks", "pose", "box", "mesh", "solid", "depth", "pncc", "normals", "uv")
_MESHES = ("obj", "ply", "glb")
_SPACES = ("image", "head", "camera")


def _parse_draw(value: str) -> str:
    names = [name.strip() for name in value.split(",")]
    if names == ["all"]:
        names = list(_DRAWINGS)
    if names != ["none"] and not set(names) <= set(_DRAWINGS):
        raise typer.BadParameter(f"'{value}'; give a list of {', '.join(_DRAWINGS)}, all or none")
    return ",".join(dict.fromkeys(names))


def _parse_mesh(values: list[str] | None) -> list[str]:
    names = [name.strip().lower() for value in values or [] for name in value.split(",")]
    if names == ["none"]:
        return names
    if not set(names) <= set(_MESHES):
        raise typer.BadParameter(
            f"'{','.join(names)}'; give a list of {', '.join(_MESHES)}, or none"
        )
    return list(dict.fromkeys(names))


def _parse_space(value: str) -> str:
    if value not in _SPACES:
        raise typer.BadParameter(f"'{value}'; choose from {', '.join(_SPACES)}")
    return value


def _parse_view(value: str | None) -> str | None:
    if value is not None:
        _angles(value)
    return value


def _angles(view: str) -> tuple[float, float]:
    try:
        yaw, pitch = (float(part) for part in view.split(","))
    except ValueError:
        raise typer.BadParameter(f"'{view}'; give yaw and pitch in degrees, as 30,-10") from None
    if not (abs(yaw) <= 360 and abs(pitch) <= 360):
        raise typer.BadParameter(f"'{view}'; angles go to 360 degrees")
    return yaw, pitch


@dataclass(frozen=True)
class _Wanted:
    """What to write for each photo: kinds of pictures, mesh formats, and how.

    Attributes:
        plain: write the mesh as OBJ without texture, as is the default.
    """

    kinds: list[str]
    meshes: list[str]
    plain: bool
    space: Space
    focal: float | None
    opacity: float | None
    view: tuple[float, float] | None
    texture_size: int


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
            callback=_parse_draw,
            help="Pictures, with commas: any of " + ",".join(_DRAWINGS) + "; or all, or none.",
        ),
    ] = ",".join(_DEFAULT),
    mesh: Annotated[
        list[str] | None,
        typer.Option(
            callback=_parse_mesh,
            help="Mesh files, with commas: obj (textured), ply, glb; or none. "
            "Default: a plain .obj.",
            show_default=False,
        ),
    ] = None,
    obj: Annotated[bool, typer.Option(help="--no-obj: the same as --mesh none.")] = True,
    space: Annotated[
        str,
        typer.Option(
            callback=_parse_space,
            help="Of mesh files: image (pixels), head (mm, no pose) or camera (mm).",
        ),
    ] = "image",
    focal: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            max=1e7,
            help="The camera's focal length in pixels. Default: the photo's longer side.",
        ),
    ] = None,
    opacity: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Of what is drawn over the photo, 0 to 1."),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            callback=_parse_view,
            metavar="YAW,PITCH",
            help="Side from which 'solid' shows the heads, degrees. Default: as in the photo.",
        ),
    ] = None,
    texture_size: Annotated[
        int, typer.Option(min=16, max=8192, help="Side of textures in pixels.")
    ] = 1024,
    device: Annotated[str, typer.Option(help="Where the network runs: cpu or cuda.")] = "cpu",
    timings: Annotated[bool, typer.Option(help="Print the time of each step.")] = False,
) -> None:
    """Find every face of the photos: 68 3D landmarks, head pose, coefficients, mesh.

    Writes NAME.json for each photo, NAME_landmarks, NAME_pose and NAME_mesh pictures, and
    NAME_face0.obj and so on; more with --draw and --mesh. A photo without a face is no error;
    its JSON says so.
    """
    from rich.console import Console

    from ..pipeline import FaceAnalyzer
    from .main import report_error

    out = Console(highlight=False, markup=False, soft_wrap=True)
    clock = time.perf_counter()
    analyzer = FaceAnalyzer(weights=weights, face_model=face_model, device=device)
    if timings:
        out.print(f"models loaded in {_ms(time.perf_counter() - clock)}")
    formats = list(mesh or [])
    wanted = _Wanted(
        kinds=[] if draw == "none" else draw.split(","),
        meshes=[] if formats == ["none"] or not obj else formats,
        plain=obj and not formats and space == "image",
        space=cast("Space", space),
        focal=focal,
        opacity=opacity,
        view=None if view is None else _angles(view),
        texture_size=texture_size,
    )
    if obj and not formats and space != "image":
        wanted = replace(wanted, meshes=["obj"])
    different = list(dict.fromkeys(photos))
    failed = 0
    for photo, stem in zip(different, output_stems(different, output), strict=True):
        try:
            _process(photo, output / stem, analyzer, wanted, timings, out)
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
    from ..pipeline.writers import picture_endings

    inputs = {str(photo.absolute()).casefold() for photo in photos}
    folder, used, stems = output.absolute(), set(), []
    for photo in photos:
        stem, number = photo.stem, 1
        while stem.casefold() in used or any(
            str(folder / (stem + ending)).casefold() in inputs
            for ending in (".json", *picture_endings())
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
    wanted: _Wanted,
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
    if wanted.meshes or wanted.plain:
        writers.check_triangles(faces)
    if "uv" in wanted.kinds:
        writers.check_texture(faces)
    pictures = writers.Pictures(
        image,
        faces,
        opacity=wanted.opacity,
        view=wanted.view,
        focal=wanted.focal,
        texture_size=wanted.texture_size,
    )
    drawn = {kind: pictures.draw(kind) for kind in wanted.kinds if faces and kind != "uv"}
    marks.append(time.perf_counter())
    writers.remove_results(base)
    names = [f"{base.name}.json"]
    for kind, picture in drawn.items():
        path = _append(base, f"_{kind}{writers.picture_suffix(kind, photo)}")
        names.append(writers.write_picture(path, picture).name)
    last: list[str] = []
    for number, face in enumerate(faces):
        last = _write_face(_append(base, f"_face{number}"), number, face, pictures, wanted)
        names += last if number == 0 else []
    if len(faces) > 1 and last:
        names += last if len(faces) == 2 else ["...", *last]
    more = {"depth": pictures.depth_code()} if "depth" in drawn else None
    # The JSON comes last: where it is, everything is.
    writers.write_json(_append(base, ".json"), str(photo), image, faces, more)
    marks.append(time.perf_counter())

    out.print(f"{photo}: {_count(faces)} in {image.shape[1]} x {image.shape[0]} pixels")
    for number, face in enumerate(faces):
        angles = ", ".join(
            f"{name} {round(getattr(face.pose, name), 1) + 0.0:+.1f}"
            for name in ("yaw", "pitch", "roll")
        )
        trust = "" if face.confidence is None else f", confidence {face.confidence:.2f}"
        out.print(f"  face {number}: score {face.score:.2f}{trust}, {angles} degrees")
    out.print(f"  -> {base.parent}: {', '.join(names)}")
    if timings:
        reading, _, drawing, writing = (b - a for a, b in itertools.pairwise(marks))
        parts = analysis.timings
        out.print(
            f"  reading {_ms(reading)}, detection {_ms(parts.detection)}, regression "
            f"{_ms(parts.regression)}, decode {_ms(parts.decode)}, drawing {_ms(drawing)}, "
            f"writing {_ms(writing)}"
        )


def _write_face(
    base: Path, number: int, face: Face, pictures: Pictures, wanted: _Wanted
) -> list[str]:
    """Write one face's files, ``base`` being their folder and stem; returns their names."""
    from ..pipeline import writers

    paths = []
    if "uv" in wanted.kinds:
        texture = pictures.texture(number).image
        paths.append(writers.write_picture(_append(base, "_uv.png"), texture))
    if wanted.plain:
        paths.append(writers.write_obj(_append(base, ".obj"), face, pictures.size[0]))
    if wanted.meshes:
        mesh = pictures.mesh(number, wanted.space)
        for kind in wanted.meshes:
            paths += writers.write_mesh(_append(base, f".{kind}"), mesh)
    return list(dict.fromkeys(path.name for path in paths))


def _append(base: Path, ending: str) -> Path:
    return base.with_name(base.name + ending)


def _count(faces: list[Face]) -> str:
    from ..pipeline.writers import NO_FACE

    return f"{len(faces)} face{'s' if len(faces) > 1 else ''}" if faces else NO_FACE


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
