"""``synergynet eval``: measure a network on a benchmark."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..errors import SynergyNetError
from ..evaluation.sets import DEFAULT_SET, EVALUATION_SETS
from .options import FaceModelOption, WeightsOption

SetOption = Enum("SetOption", {name: name for name in EVALUATION_SETS}, type=str)  # type: ignore[misc]
"""The benchmarks that there is a protocol for."""

_DEFAULT_SET = SetOption(DEFAULT_SET)
_ROOTS = "; ".join(f"{name}: {root}" for name, (_, root) in EVALUATION_SETS.items())


class FrameOption(str, Enum):
    """Frame of the answers in ``--params``."""

    protocol = "protocol"
    pixel = "pixel"


def evaluate(
    root: Annotated[Path, typer.Option(help=f"Folder of the benchmark. {_ROOTS}.")],
    benchmark: Annotated[SetOption, typer.Option("--set", help="Benchmark.")] = _DEFAULT_SET,
    weights: WeightsOption = None,
    params: Annotated[
        Path | None,
        typer.Option(
            help="Measure these raw parameters, (N, 62) in an .npy in the list's order, "
            "instead of running a network."
        ),
    ] = None,
    face_model: FaceModelOption = None,
    frame: Annotated[
        FrameOption | None,
        typer.Option(
            help="Frame of --params: 'protocol' (default; taken as they are) or 'pixel' "
            "(1-based crop pixels). A checkpoint declares its own."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write all numbers to this file.")] = None,
    list_file: Annotated[
        Path | None, typer.Option("--list", help="Crop names. Default: the root's own list.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Crops that the network sees at a time.")
    ] = 128,
    mirror: Annotated[
        bool, typer.Option(help="Average each answer with that of the mirrored crop.")
    ] = False,
    groups: Annotated[
        bool, typer.Option(help="Also print the accuracy by yaw, pitch, roll and face size.")
    ] = False,
    worst: Annotated[
        Path | None,
        typer.Option(help="Draw the 40 faces with the largest error into this .png or .jpg."),
    ] = None,
) -> None:
    """Measure landmarks (NME) and head pose (MAE) on AFLW2000-3D or another benchmark.

    Prints the published lines first, then both truths, both frames and both angle decodes.
    """
    from ..evaluation import (
        draw_worst,
        evaluate_params,
        evaluate_regressor,
        evaluation_set,
        load_params,
        print_result,
        worst_faces,
    )
    from ..face_model.sources import resolve_face_model

    if params is not None and weights is not None:
        raise SynergyNetError("--params and --weights exclude each other; give one of them")
    if params is not None and mirror:
        raise SynergyNetError("--mirror needs a network to run; it cannot be used with --params")
    if params is None and frame is not None:
        raise SynergyNetError("--frame belongs to --params; a checkpoint declares its own frame")
    for output in (json, worst):
        if output is not None and not output.absolute().parent.is_dir():
            raise SynergyNetError(f"{output}: its folder does not exist; create it first")
    if worst is not None and worst.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise SynergyNetError(f"{worst}: give the picture a name that ends in .png or .jpg")

    dataset = evaluation_set(benchmark.value).load(root, list_file)
    if params is not None:
        raw = load_params(params)
        model, _ = resolve_face_model(face_model)
        result = evaluate_params(
            dataset, raw, model, "protocol" if frame is None else frame.value, weights=str(params)
        )
    else:
        from ..regression import load_regressor

        regressor = load_regressor(weights)
        own = regressor.face_model if face_model is None else None
        result = evaluate_regressor(
            dataset,
            regressor,
            own or resolve_face_model(face_model)[0],
            mirror=mirror,
            batch_size=batch_size,
            weights=weights or "the shipped weights",
        )
    print_result(result, groups=groups)
    if json is not None:
        result.write_json(json, {"worst": worst_faces(dataset, result)})
    if worst is not None:
        draw_worst(dataset, result, worst)
