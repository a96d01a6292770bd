"""``synergynet export``: a checkpoint in the format that its user deploys."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..export.formats import FORMATS, check_options, choose_format, export_weights
from ..weights.formats import endings, read_weights
from .options import FACE_MODELS

if TYPE_CHECKING:
    from ..export.graphs import Precision

_UNITS = {
    "params": "whitened units",
    "landmarks": "px",
    "vertices": "px",
    "yaw_pitch_roll": "degrees",
    "expected_nme": "of itself",
}
_TAKERS = {
    option: ", ".join(name for name, kind in FORMATS.items() if option in kind.options)
    for option in ("whole", "half", "int8")
}


def export(
    weights: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help=endings("read"))],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="|".join(FORMATS), help="Default: by the ending of the file."
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Everything in one graph: uint8 BGR crops in; parameters, landmarks, vertices, "
            "rotation and angles out. Default: normalised crops in, whitened parameters out "
            f"({_TAKERS['whole']}).",
        ),
    ] = False,
    half: Annotated[
        bool, typer.Option("--half", help=f"Store weights as float16 ({_TAKERS['half']}).")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help=f"Run convolutions in 8 bits ({_TAKERS['int8']}).")
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER_OR_LIST", help="120x120 crops to calibrate --int8 on, or their list."
        ),
    ] = None,
    face_model: Annotated[
        str | None,
        typer.Option(help=f"For --whole: {FACE_MODELS}. Default: open-head."),
    ] = None,
) -> None:
    """Export a trained network; the file is compared with the network first."""
    name = choose_format(output, kind)
    wanted = {"whole": whole, "half": half, "int8": int8}
    check_options(output, name, [option for option, given in wanted.items() if given], calibrate)
    precision: Precision = "int8" if int8 else "float16" if half else "float32"
    differences, contains = export_weights(
        read_weights(weights),
        output,
        name,
        face_model=face_model,
        whole=whole,
        precision=precision,
        calibrate=calibrate,
    )
    files = [output, *([output.with_suffix(FORMATS[name].beside)] if FORMATS[name].beside else [])]
    size = sum(file.stat().st_size for file in files) / 1e6
    by_torch = "torch" in FORMATS[name].needs
    crops, framework = ("real", "torch") if by_torch else ("random", "MindSpore")
    print(f"{output}: {size:.1f} MB {name}, {precision}, checked on {crops} crops")
    for part, difference in differences.items():
        unit = _UNITS.get(part, "")
        print(f"  {part}: differs from {framework} by at most {difference:.2g} {unit}")
    if contains:
        print(f"  contains {contains}")
