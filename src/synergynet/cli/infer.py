"""``synergynet infer``: photos in; JSON, pictures and meshes out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..errors import SynergyNetError
from ..files.whole_file import check_folder, is_open_file
from ..outputs.kinds import DEFAULT_DRAWINGS, DRAWINGS, MESHES, SPACES
from .options import (
    DetectorOption,
    DeviceOption,
    FaceModelOption,
    QualityOption,
    WeightsOption,
    names_of,
)

if TYPE_CHECKING:
    from ..jobs.results import Outcome
    from ..outputs.kinds import Space

ENGINES = ("local", "ray")
"""Where the photos are worked at: this machine, or a Ray cluster."""

_MESHES = ", ".join(f"{n} ({m.text})" if m.text else n for n, m in MESHES.items())


def _parse_draw(value: str) -> str:
    names = names_of(value, DRAWINGS, extra=("all", "none"))
    return ",".join(DRAWINGS if names == ["all"] else names)


def _parse_mesh(values: list[str] | None) -> list[str]:
    return names_of(",".join(values), MESHES) if values else []


def _parse_space(value: str) -> str:
    if value not in SPACES:
        raise typer.BadParameter(f"'{value}'; choose from {', '.join(SPACES)}")
    return value


def _parse_engine(value: str) -> str:
    if value not in ENGINES:
        raise typer.BadParameter(f"'{value}'; choose from {', '.join(ENGINES)}")
    return value


def _refuse_no_obj(value: bool) -> None:
    if value:
        raise typer.BadParameter("--no-obj is gone; --mesh none writes no mesh")


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


def _parse_summary(value: Path | None) -> Path | None:
    if value is not None:
        from ..jobs.summary import SUFFIXES, names_summary

        if not names_summary(value):
            raise typer.BadParameter(f"'{value}'; summaries end in {' or '.join(SUFFIXES)}")
    return value


def infer(
    photos: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Photos, folders, quoted patterns; - is standard input.",
            metavar="PHOTO...",
            readable=False,  # one that is locked is told with those that fail, and stops nothing
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "output"
    ),
    quality: QualityOption = "default",
    weights: WeightsOption = None,
    face_model: FaceModelOption = None,
    detector: DetectorOption = None,
    draw: Annotated[
        str,
        typer.Option(
            callback=_parse_draw,
            help=f"Pictures, with commas: any of {','.join(DRAWINGS)}; or all, or none.",
        ),
    ] = ",".join(DEFAULT_DRAWINGS),
    mesh: Annotated[
        list[str] | None,
        typer.Option(
            callback=_parse_mesh,
            help=f"Mesh files, with commas: {_MESHES}; or none. Default: a plain .obj.",
            show_default=False,
        ),
    ] = None,
    no_obj: Annotated[bool, typer.Option("--no-obj", hidden=True, callback=_refuse_no_obj)] = False,
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
    device: DeviceOption = "cpu",
    mirror: Annotated[
        bool | None,
        typer.Option(
            help="Ask the network about the mirrored face too. Default: by --quality.",
            show_default=False,
        ),
    ] = None,
    min_confidence: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="What the network trusts less is no face."),
    ] = 0.5,
    timings: Annotated[bool, typer.Option(help="Print the time of each step.")] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Search the folders below a folder too.")
    ] = False,
    list_file: Annotated[
        Path | None,
        typer.Option(
            "--list", metavar="FILE", help="Text file of photos, one per line; - is stdin."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Processes. Default: one per processor, or one for a few photos.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave photos alone that have these results already.")
    ] = False,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=_parse_summary,
            help="Table of all faces: .csv, or .parquet (extra 'parquet').",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            callback=_parse_engine,
            help="local: this machine. ray: a Ray cluster (extra 'ray'), and Parquet out.",
        ),
    ] = "local",
    no_files: Annotated[
        bool,
        typer.Option(
            "--no-files", help="None per photo: Parquet holds it all. Takes --engine ray."
        ),
    ] = False,
) -> None:
    """Find every face of the photos: 68 3D landmarks, head pose, coefficients, mesh.

    A PHOTO may also be a folder or a quoted pattern such as "trip/**/*.jpg"; the results keep
    its structure.

    Writes NAME.json for each photo, NAME_landmarks, NAME_pose and NAME_mesh pictures, and
    NAME_face0.obj and so on; more with --draw and --mesh. A photo without a face is no error;
    its JSON says so. What fails is listed at the end; the exit code is then 1.
    """
    from ..jobs import batch
    from ..jobs.folders import find_photos, place_results, read_list
    from ..jobs.results import Wanted, settings_of
    from ..jobs.summary import check_summary, write_summary
    from ..outputs.pictures import Style
    from ..regression.loading import resolve_device
    from .infer_report import Report

    if not photos and list_file is None:
        raise typer.BadParameter("give photos, a folder, a pattern, or --list", param_hint="PHOTO")
    if summary is not None:
        check_summary(summary)
    if engine == "ray":
        from .infer_cluster import check_options

        check_options(device, output, summary)
    elif no_files:
        raise typer.BadParameter("takes --engine ray", param_hint="--no-files")
    found = find_photos(photos or [], output, recursive=recursive)
    if list_file is not None:
        known = {photo.path.absolute() for photo in found}
        found += [p for p in read_list(list_file) if p.path.absolute() not in known]
    inputs = [photo.path for photo in found] + ([] if list_file is None else [list_file])
    if summary is not None and summary.absolute() in {path.absolute() for path in inputs}:
        raise SynergyNetError(f"{summary}: the summary would replace what is read; rename it")
    formats = list(mesh or [])
    # Without a list of formats: a plain OBJ, which has the frame of the image.
    if not formats and space != "image":
        formats = ["obj"]
    if no_files:
        draw, formats = "none", ["none"]
    wanted = Wanted(
        kinds=() if draw == "none" else tuple(draw.split(",")),
        meshes=() if formats == ["none"] else tuple(formats),
        plain=not formats,
        space=cast("Space", space),
        style=Style(opacity, None if view is None else _angles(view), focal, texture_size),
        files=not no_files,
    )
    if not no_files and not resume:
        check_folder(output)
    asked, device = workers, resolve_device(device)
    if any(is_open_file(photo.path) for photo in found):
        workers = 1  # other processes have other open files
    workers = batch.choose_workers(len(found), device) if workers is None else workers
    models = batch.Models(
        detector,
        weights,
        face_model,
        device,
        quality,
        mirror,
        threads=1 if engine == "ray" else batch.threads_per_worker(min(workers, len(found))),
        min_confidence=min_confidence,
    )
    clock = time.perf_counter()
    analyzer = batch.load(models)
    report = Report(len(found), output, timings, in_parts=engine == "ray")
    report.loaded(time.perf_counter() - clock)
    job = batch.Job(models, wanted, settings_of(wanted, analyzer), resume)
    bases = place_results(found, output)
    places = [(photo.path, base) for photo, base in zip(found, bases, strict=True)]
    if engine == "ray":
        from .infer_cluster import infer_on_cluster

        infer_on_cluster(job, places, output, asked, summary, report)
        return
    outcomes: dict[int, Outcome] = {}
    try:
        with report:
            for index, outcome in batch.run(job, places, workers):
                outcomes[index] = outcome
                report.show(outcome)
    except KeyboardInterrupt:
        report.interrupted()
        raise typer.Exit(130) from None
    finally:
        report.end()
    if summary is not None:
        report.wrote(write_summary(summary, (outcomes[i] for i in range(len(places)))))
    if report.done.failed:
        raise typer.Exit(1)
