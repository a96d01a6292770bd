"""Weights from one kind of file to another, number for number."""

from dataclasses import replace
from pathlib import Path

from ..errors import SynergyNetError
from ..face_model.sources import resolve_face_model
from .formats import find_format, function_for, read_weights
from .info import ChannelOrder
from .official import published_info


def convert_weights(
    source: Path,
    target: Path,
    face_model: str | None = None,
    channel_order: ChannelOrder = "RGB",
) -> float | None:
    """Read ``source``, write ``target``; their endings say what they are (``formats.FORMATS``).

    Args:
        source: a checkpoint.
        target: the file to write; it appears whole or not at all.
        face_model: as for ``resolve_face_model``, where ``source`` does not hold it and
            ``target`` does, or where ``source`` is a ``.ckpt`` of another program.
        channel_order: of such a ``.ckpt``.

    Returns:
        For a graph, its largest difference from the network in whitened units.

    Raises:
        SynergyNetError: unknown endings, a bad file, a face model that does not fit, or a
            package that is not installed.
    """
    write = function_for(target, "write")
    if target.exists() and target.samefile(source):
        raise SynergyNetError(f"{target}: is the file to convert; give the result another name")
    weights = read_weights(source)
    if weights.info is None and face_model is not None:
        model, whitening = resolve_face_model(face_model)
        if whitening is not None:
            program = "a MindSpore checkpoint of another program"
            info = published_info(model, whitening, program, channel_order)
            weights = replace(weights, info=info)
    weights.described()
    if find_format(target, "write").brings_face_model and weights.face_model is None:
        weights = replace(weights, face_model=resolve_face_model(face_model)[0])
    difference: float | None = write(target, weights)
    return difference
