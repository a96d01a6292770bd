"""What trained weights say about themselves; the same strings in safetensors and ONNX files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..geometry.crops import CROP_RULES, DEFAULT_CROP_RULE
from ..geometry.params import INPUT_SIZE, Whitening
from .error_head import ErrorHead

FORMAT_VERSION = 1

Frame = Literal["protocol", "pixel"]
ChannelOrder = Literal["BGR", "RGB"]
Calibration = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class WeightsInfo:
    """Metadata of a network's weights.

    Attributes:
        architecture: backbone name, e.g. ``mobilenet_v2``.
        face_model: name of the face model that the parameters drive.
        face_model_hash: its :attr:`FaceModel.hash`.
        whitening: of the 62 parameters that the network answers in.
        training_data: what the weights were trained on, for a reader.
        frame: of the answers: ``pixel`` (crop1, 1-based crop pixels) or ``protocol`` (x120).
        border: width in pixels of the zeroed crop border the network was trained with.
        channel_order: of the input image.
        input_size: side of the square input in pixels.
        accuracy: measured numbers by name, e.g. ``{"nme_aflw2000": 3.41}``.
        extra: anything else that JSON can hold.
        error_head: reads the expected error of an answer off the pooled features; None for
            weights that were never calibrated.
        crop_rule: of the crops that the network was trained on, a key of
            :data:`~synergynet.geometry.crops.CROP_RULES`; files that do not say it mean the
            default.
        detector_calibration: face detector -> (3, 2) or (3, 12) numbers that turn what it sees
            into such crops (``detection.base.SquareCalibration``); a detector that is not in it
            keeps its own.
    """

    architecture: str
    face_model: str
    face_model_hash: str
    whitening: Whitening
    training_data: str
    frame: Frame
    border: int = 0
    channel_order: ChannelOrder = "BGR"
    input_size: int = INPUT_SIZE
    accuracy: Mapping[str, float] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    error_head: ErrorHead | None = None
    crop_rule: str = DEFAULT_CROP_RULE
    detector_calibration: Mapping[str, Calibration] = field(default_factory=dict)

    def to_metadata(self) -> dict[str, str]:
        """Every field as a JSON string; float32 whitening survives exactly."""
        values: dict[str, Any] = {"format_version": FORMAT_VERSION}
        values |= {key: getattr(self, key) for key in _KINDS if key != "format_version"}
        whitening = self.whitening
        values["whitening"] = {"mean": whitening.mean.tolist(), "std": whitening.std.tolist()}
        values["accuracy"], values["extra"] = dict(self.accuracy), dict(self.extra)
        values["crop_rule"] = self.crop_rule
        if self.error_head is not None:
            values["error_head"] = self.error_head.to_json()
        if self.detector_calibration:
            values["detector_calibration"] = dict(self.detector_calibration)
        return {key: json.dumps(value) for key, value in values.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], source: str) -> WeightsInfo:
        """Inverse of :meth:`to_metadata`; other keys (of ONNX tools) are left alone.

        Raises SynergyNetError naming ``source`` for missing or bad fields.
        """
        fields = {key: _parse(metadata, key, kind, source) for key, kind in _KINDS.items()}
        version = fields.pop("format_version")
        if version != FORMAT_VERSION:
            raise SynergyNetError(
                f"{source}: metadata format {version}, but this synergynet reads format "
                f"{FORMAT_VERSION}; install the synergynet version that wrote it."
            )
        if "crop_rule" in metadata:
            fields["crop_rule"] = _parse(metadata, "crop_rule", str, source)
        for key, choices in _CHOICES.items():
            if key in fields and fields[key] not in choices:
                raise _bad(source, key, f"{fields[key]!r} is none of {', '.join(choices)}")
        if not 0 <= fields["border"] < INPUT_SIZE // 2:
            raise _bad(source, "border", f"{fields['border']} pixels of a {INPUT_SIZE}-pixel crop")
        if fields["input_size"] != INPUT_SIZE:
            raise _bad(source, "input_size", f"{fields['input_size']}, expected {INPUT_SIZE}")
        for key, read in _PARSED.items():
            if key in metadata:
                try:
                    fields[key] = read(_parse(metadata, key, dict, source))
                except (KeyError, TypeError, ValueError, OverflowError) as error:
                    raise _bad(source, key, str(error)) from error
        return cls(**fields)

    def check_face_model(self, model: FaceModel, source: str) -> None:
        """Raise SynergyNetError naming both models if ``model`` is not the one trained with."""
        if model.hash != self.face_model_hash:
            raise SynergyNetError(
                f"{source} was trained with face model '{self.face_model}' "
                f"({self.face_model_hash[:12]}), not with '{model.name}' ({model.hash[:12]}); "
                f"load it with '{self.face_model}'."
            )


_KINDS: Mapping[str, type] = {
    "format_version": int,
    "architecture": str,
    "face_model": str,
    "face_model_hash": str,
    "whitening": dict,
    "training_data": str,
    "frame": str,
    "border": int,
    "channel_order": str,
    "input_size": int,
    "accuracy": dict,
    "extra": dict,
}

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "frame": get_args(Frame),
    "channel_order": get_args(ChannelOrder),
    "crop_rule": tuple(CROP_RULES),
}


def _whitening(values: Mapping[str, Any]) -> Whitening:
    return Whitening(values["mean"], values["std"])


def _calibration(values: Mapping[str, Any]) -> dict[str, Calibration]:
    """Detector -> (3, 2) or (3, 12) numbers; raises TypeError, ValueError or OverflowError."""
    out: dict[str, Calibration] = {}
    for name, rows in values.items():
        numbers = tuple(tuple(float(number) for number in row) for row in rows)
        good = all(math.isfinite(number) for row in numbers for number in row)
        if len(numbers) != 3 or {len(row) for row in numbers} not in ({2}, {12}) or not good:
            raise ValueError(f"{name[:80]!r} has no 3 x 2 or 3 x 12 finite numbers")
        out[name] = numbers
    return out


_PARSED: Mapping[str, Callable[[Any], Any]] = {
    "whitening": _whitening,
    "error_head": ErrorHead.from_json,
    "detector_calibration": _calibration,
}


def _parse(metadata: Mapping[str, str], key: str, kind: type, source: str) -> Any:
    if key not in metadata:
        raise _bad(source, key, "it is missing")
    try:
        value = json.loads(metadata[key])
    except (ValueError, RecursionError) as error:
        raise _bad(source, key, f"not JSON: {error}") from error
    if not isinstance(value, kind):
        raise _bad(source, key, f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _bad(source: str, key: str, why: str) -> SynergyNetError:
    return SynergyNetError(
        f"{source}: metadata field '{key}' cannot be used ({why}); "
        "use weights written by synergynet train or export."
    )
