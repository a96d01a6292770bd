"""The ``synergynet`` command. A new command is one line of ``COMMANDS``."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import SynergyNetError
from .streams import unfailing_streams

COMMANDS = {
    "infer": ("synergynet.cli.infer:infer", "Photos in; landmarks, pose and mesh of every face."),
    "video": ("synergynet.cli.video:video", "A video in; its faces followed and drawn."),
    "serve": ("synergynet.cli.serve:serve", "Faces over HTTP, and a page for the browser."),
    "view": ("synergynet.cli.view:view", "A photo, results or a video in the browser."),
    "eval": ("synergynet.cli.eval:evaluate", "Measure a network on AFLW2000-3D."),
    "train": ("synergynet.cli.train:train", "Train a network, or go on with a training."),
    "export": (
        "synergynet.cli.export:export",
        "A checkpoint as ONNX, OpenVINO, TorchScript and more.",
    ),
    "convert": (
        "synergynet.cli.convert:convert",
        "Weights from one framework's file to another's.",
    ),
    "data prepare": (
        "synergynet.cli.data:prepare",
        "300W-LP or AFLW2000-3D into a list of crops.",
    ),
    "data turn": ("synergynet.cli.data:turn", "Real crops turned to larger poses."),
    "data synth": ("synergynet.cli.data:synth", "Faces rendered with exact labels."),
    "data pack": ("synergynet.cli.data:pack", "A training list into WebDataset shards."),
}
"""Command, with its group if it is in one -> (function as module:name, its line in ``--help``)."""

GROUPS = {"data": "Make training data."}
"""Group -> its line in ``synergynet --help``."""


class LazyGroup(TyperGroup):
    """Imports a command's module when that command is run, not for ``--help``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        full_name = name if ctx.parent is None else f"{ctx.info_name} {name}"
        if full_name in COMMANDS:
            module, function = COMMANDS[full_name][0].split(":")
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(name)(getattr(import_module(module), function))
            command = typer.main.get_command(single)
            command.name = name
        return name, command, rest


class App(typer.Typer):
    """Typer whose user errors are one line on stderr and exit code 1."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Read by OpenCV when it is first imported: the photo size limit for formats whose
        # header we do not parse, and no warnings beside our own sentences.
        os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        code: int | str | None = None
        with unfailing_streams() as lost:
            try:
                return super().__call__(*args, **kwargs)
            except SystemExit as end:
                code = end.code
            except SynergyNetError as error:
                report_error(error)
                code = 1
            except OSError as error:  # refused by the system, as any of our own files may be
                report_error(_refused(error))
                code = 1
            except RuntimeError as error:
                if "start new thread" not in str(error):
                    raise
                report_error(
                    "the system allows no more threads: raise its limit on processes, ulimit -u"
                )
                code = 1
            except MemoryError:
                report_error("not enough memory")
                code = 1
        sentence = lost()
        if sentence is not None and code in (None, 0):
            with suppress(OSError):
                report_error(sentence)
            code = 1
        sys.exit(code)


def _refused(error: OSError) -> str:
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{where}the system refuses ({error.strerror or error})"


def report_error(error: SynergyNetError | str) -> None:
    """Print ``error: ...`` as one line on stderr."""
    print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)


app = App(
    name="synergynet",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: drawing boxes around it takes longer than all the rest
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"synergynet {version('synergynet')}")
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """3D faces from a single image: 68 landmarks, head pose and a dense mesh."""


def _placeholder() -> None:
    """Stands in ``--help`` for a command that LazyGroup imports when it is run."""


_groups = {
    name: typer.Typer(cls=LazyGroup, help=line, no_args_is_help=True, rich_markup_mode=None)
    for name, line in GROUPS.items()
}
for _name, _group in _groups.items():
    app.add_typer(_group, name=_name)
for _name, (_, _help) in COMMANDS.items():
    *_path, _last = _name.split()
    (_groups[_path[0]] if _path else app).command(_last, help=_help)(_placeholder)
