"""``synergynet video``: a video or camera in; a drawn video and JSON lines out."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SynergyNetError
from ..outputs.kinds import IN_VIDEOS, SURFACES
from .options import (
    DetectorOption,
    DeviceOption,
    FaceModelOption,
    QualityOption,
    WeightsOption,
    names_of,
)
from .progress import progress_bar

if TYPE_CHECKING:
    from ..files.video import VideoSource

_DEFAULT = "landmarks,pose"


def _parse_draw(value: str) -> str:
    names = names_of(value, (*SURFACES, *IN_VIDEOS))
    if len(set(names) & set(SURFACES)) > 1:
        raise typer.BadParameter(
            f"'{value}'; {', '.join(SURFACES)} hide one another, so give one of them"
        )
    return ",".join(names)


def video(
    source: Annotated[
        Path | None,
        typer.Argument(help="A video; - for standard input.", metavar="VIDEO", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The drawn video: .mp4, .mov, .mkv or .avi."),
    ] = None,
    json_lines: Annotated[
        Path | None, typer.Option("--json", help="One JSON object per frame and line (.jsonl).")
    ] = None,
    camera: Annotated[
        int | None, typer.Option(min=0, help="A camera's number, in place of a video.")
    ] = None,
    draw: Annotated[
        str,
        typer.Option(
            callback=_parse_draw,
            help=f"With commas: any of {','.join(IN_VIDEOS)}, and one of {','.join(SURFACES)}; "
            "or none.",
        ),
    ] = _DEFAULT,
    smooth: Annotated[bool, typer.Option(help="Filter the faces from frame to frame.")] = True,
    window: Annotated[
        bool | None,
        typer.Option(
            help="Show it; q ends. Default: for a camera, if there is a display.",
            show_default=False,
        ),
    ] = None,
    detect_every: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds between looks for new faces.")
    ] = 1.0,
    quality: QualityOption = "default",
    weights: WeightsOption = None,
    face_model: FaceModelOption = None,
    detector: DetectorOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Follow the faces of a video or camera: landmarks, pose, mesh, with an id each.

    Writes a video with -o, numbers with --json. Ctrl-C ends early and keeps what is done.
    The sound is kept if ffmpeg is installed.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from rich.console import Console

    from ..files.video import VideoSource
    from ..jobs.videos import process_video, show_in_window
    from ..pipeline import FaceAnalyzer
    from ..pipeline.tracking import FaceTracker

    if (source is None) == (camera is None):
        raise typer.BadParameter("give either a video or --camera")
    _check_outputs(source, output, json_lines)
    show = _wants_window(window, camera is not None, output is None and json_lines is None)
    apart = any(_is_standard_output(path) for path in (output, json_lines))
    out = Console(highlight=False, markup=False, soft_wrap=True, stderr=apart)
    with ExitStack() as stack:
        place: Path | int = source if source is not None else (camera or 0)
        frames = VideoSource(place)
        stack.callback(frames.close)
        # One thread: the network is small, and the other cores decode the video.
        analyzer = FaceAnalyzer(
            detector,
            weights,
            face_model,
            device=device,
            quality=quality,
            mirror=False,  # as the frames between two looks: no jumps
            threads=1,
        )
        tracker = FaceTracker(
            analyzer, smooth=smooth, frame_rate=frames.frame_rate, detect_every=detect_every
        )
        signals = stack.enter_context(_signals())
        clock = time.perf_counter()
        with _progress(frames) as progress:
            summary = process_video(
                frames,
                tracker,
                output=output,
                json_lines=json_lines,
                draw=[] if draw == "none" else draw.split(","),
                show=show_in_window if show else None,
                stop=lambda: bool(signals),
                progress=progress,
            )
        seconds = time.perf_counter() - clock
        complaint = None if signals or show else frames.complaint()
    count = f"{summary.faces} face{'' if summary.faces == 1 else 's'}"
    out.print(
        f"{frames.name}: {summary.frames} frames of {frames.size[1]} x {frames.size[0]} pixels, "
        f"{count}, {summary.frames / max(seconds, 1e-9):.1f} frames/s"
    )
    written = [str(path) for path in (output, json_lines) if path is not None]
    if written:
        out.print(f"  -> {', '.join(written)}")
    for note in summary.notes:
        out.print(f"  {note}")
    if signals:
        out.print("  stopped early; the results go up to there")
        raise typer.Exit(128 + signals[0])
    if complaint is not None:
        raise SynergyNetError(complaint)


def _check_outputs(source: Path | None, output: Path | None, json_lines: Path | None) -> None:
    from ..files.video_output import CODECS

    if output is not None and output.suffix.lower() not in CODECS:
        raise SynergyNetError(
            f"{output}: videos are written as {', '.join(CODECS)}; choose one of these suffixes"
        )
    paths = [path.absolute() for path in (source, output, json_lines) if path is not None]
    for number, path in enumerate(paths):
        if any(_same(path, other) for other in paths[:number]):
            raise SynergyNetError(f"{path}: given twice; results need files of their own")
    for path in (p for p in (output, json_lines) if p is not None):
        if path.is_dir():
            raise SynergyNetError(f"{path}: a folder; give the name of a file in it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{path}: cannot be written ({error.strerror})") from error


def _same(one: Path, other: Path) -> bool:
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _is_standard_output(path: Path | None) -> bool:
    """Whether results go where messages would: ``--json /dev/stdout``."""
    try:
        return path is not None and os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def _wants_window(asked: bool | None, is_camera: bool, nothing_else: bool) -> bool:
    """Whether to open a window."""
    from ..jobs.videos import window_problem

    wanted = is_camera if asked is None else asked
    if not wanted:
        if nothing_else:
            raise typer.BadParameter("nothing to write: give -o, --json or --window")
        return False
    problem = window_problem()
    if problem is not None and (asked or nothing_else):
        raise SynergyNetError(problem)
    return problem is None


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that asked to stop so far; a second one ends the program at once."""
    seen: list[int] = []

    def note(number: int, _: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _progress(source: VideoSource) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with the frame rate, if that is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    with progress_bar(source.name, console, disable=not console.is_terminal) as bar:
        task = bar.add_task(source.name, total=source.frame_count, note="")
        start = time.perf_counter()

        def step(done: int) -> None:
            rate = done / max(time.perf_counter() - start, 1e-9)
            bar.update(task, completed=done, note=f"{rate:.0f} frames/s")

        yield step
