"""The official toolkit's commands, translated into those of ``synergynet``.

``tools/facereconstruction/{train,eval,infer,export}.py -opt FILE [key=value ...]`` and
``synergynet_aflw2000_eval.py --root DATA`` are thin doors on these functions.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import SynergyNetError
from ..training.config import load_config
from .main import app, report_error
from .sections import Section, read_sections

SHIPPED_CHECKPOINT = Path("weights/efficientnet_lite0.safetensors")
"""Inside a clone of the project: the shipped network with all that training needs."""

OFFICIAL_CHECKPOINT = Path("synergynet.ckpt")
"""Where ``synergynet_aflw2000_eval.py`` has always looked, in the working directory."""


def run(command: str, clone: Path, argv: Sequence[str] | None = None) -> None:
    """``tools/facereconstruction/<command>.py``; does not return.

    Args:
        command: train, eval, infer or export.
        clone: the project's folder.
        argv: the arguments; by default those of the process.
    """
    parser = argparse.ArgumentParser(
        prog=f"{command}.py",
        description=f"{command} with the settings of one YAML file; paths in it are relative to "
        "the working directory.",
    )
    parser.add_argument("-opt", "--opt", required=True, metavar="FILE", help="the YAML file")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings in place of the file's"
    )
    args = parser.parse_args(argv)
    try:
        arguments = translate(command, Path(args.opt), args.overrides, clone)
    except SynergyNetError as error:
        report_error(error)
        sys.exit(1)
    app(arguments)


def translate(command: str, file: Path, overrides: list[str], clone: Path) -> list[str]:
    """Arguments of ``synergynet`` for a toolkit's command.

    Raises SynergyNetError for a bad file or a setting that the command lacks.
    """
    if command == "train":
        return ["train", str(file), *overrides]
    config = load_config(file, overrides)
    settings = getattr(read_sections(config, file), command)
    weights, face_model = settings.weights, settings.face_model
    if weights is None and config.best_file.is_file():  # of this file's own training
        weights, face_model = config.best_file, face_model or config.target_model
    options = [] if face_model is None else ["--face-model", face_model]
    if command == "export":
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        weights = weights or clone / SHIPPED_CHECKPOINT
        return ["export", str(weights), *_options(settings), *options, *settings.options]
    if weights is None and config.backend == "mindspore":
        raise SynergyNetError(
            "backend: mindspore needs a .ckpt: train one, or convert weights with "
            "'synergynet convert IN OUT.ckpt' and name it as weights"
        )
    if weights is not None:
        options = ["--weights", str(weights), *options]
    if command == "infer":
        if not settings.photos:
            raise SynergyNetError(f"{file}: infer.photos is empty; say infer.photos=[photo.jpg]")
        options += ["--", *settings.photos]
    return [command, *_options(settings), *options]


_NO_OPTION = {"weights", "face_model", "photos", "options"}
"""Settings of a section that :func:`translate` sees to itself."""


def _options(settings: Section) -> list[str]:
    """The section's other settings, each as the option of its name."""
    out: list[str] = []
    for name, field in type(settings).model_fields.items():
        value, option = getattr(settings, name), name.replace("_", "-")
        if name in _NO_OPTION or value is None:
            continue
        if isinstance(value, bool):
            out += [f"--{'' if value else 'no-'}{option}"] if value != field.default else []
        elif not isinstance(value, tuple):
            out += [f"--{option}", str(value)]
        elif value or field.default:  # an empty default means that the command chooses
            out += [f"--{option}", ",".join(value) or "none"]
    return out


def run_aflw2000(argv: Sequence[str] | None = None) -> None:
    """``synergynet_aflw2000_eval.py``: the published lines and nothing else."""
    parser = argparse.ArgumentParser(
        prog="synergynet_aflw2000_eval.py",
        description="NME of 68 landmarks and MAE of the Euler angles on AFLW2000-3D.",
    )
    parser.add_argument(
        "--root", required=True, metavar="DIR", help="aflw2000_data or its AFLW2000-3D_crop"
    )
    parser.add_argument(
        "--checkpoint_fp",
        metavar="FILE",
        help=f"weights: .ckpt, .pth.tar, .safetensors or .onnx; default: ./{OFFICIAL_CHECKPOINT} "
        "where there is one, else the shipped network",
    )
    parser.add_argument("--batch_size", type=int, default=128, metavar="N")
    parser.add_argument("--filelists", metavar="FILE", help="default: the list of the root")
    args = parser.parse_args(argv)
    weights = args.checkpoint_fp
    if weights is None and OFFICIAL_CHECKPOINT.is_file():
        weights = str(OFFICIAL_CHECKPOINT)
    from ..datasets.readers.aflw2000_crops import load_aflw2000
    from ..evaluation import evaluate_regressor
    from ..face_model.sources import resolve_face_model
    from ..regression import load_regressor

    try:
        dataset = load_aflw2000(args.root, args.filelists)
        regressor = load_regressor(weights)
        result = evaluate_regressor(
            dataset,
            regressor,
            regressor.face_model or resolve_face_model(None)[0],
            batch_size=args.batch_size,
            weights=weights or "the shipped weights",
        )
    except SynergyNetError as error:
        report_error(error)
        sys.exit(1)
    print("\n".join(result.published_lines()))
