"""What the page computes with, in forms that a browser reads at once.

``head.bin`` is Open Head: the bytes ``SNH1``, the length of a JSON text as 32 bits, the text, then
arrays, little-endian, each at a multiple of 8 bytes from the end of the text. ``settings.json``
holds the constants of detector and network, so that the page follows the Python code.
"""

import json
import struct
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from ..detection import yunet
from ..detection.base import SquareCalibration, doubtful_below
from ..face_model.open_head import load_open_head
from ..face_model.units import unit_problem
from ..geometry.landmarks import DRAW_GROUPS
from ..outputs.meshes.mesh_data import uv_layout
from ..pipeline import looks, reader
from ..regression.loading import SHIPPED
from ..regression.onnx_session import OnnxRegressor
from ..regression.trust import LOST_BELOW, STEEPNESS, USABLE_NME

_MAGIC = b"SNH1"
NETWORKS = {"yunet.onnx": yunet.MODEL, "slim.onnx": SHIPPED["slim"]}


@lru_cache(maxsize=1)
def head_file() -> bytes:
    """Open Head."""
    model = load_open_head()
    with files("synergynet.face_model").joinpath("data/open_head.npz").open("rb") as stream:
        stored = dict(np.load(stream, allow_pickle=False))
    layout, problem = uv_layout(model), unit_problem(model)
    units = stored["unit_shapes"]
    moved = (units != 0).any(axis=2)
    arrays = {
        "mean": model.mean,
        "identity": stored["identity_basis"],
        "identity_scale": stored["identity_basis_scale"],
        "expression": stored["expression_basis"],
        "expression_scale": stored["expression_basis_scale"],
        "triangles": model.triangles.astype("<u2"),
        "landmark_vertices": model.landmark_vertices.astype("<u2"),
        "landmark_weights": model.landmark_weights,
        "uv": layout.uv.astype("<f4"),
        "uv_source": layout.source.astype("<u2"),
        "uv_triangles": layout.triangles.astype("<u2"),
        "unit_start": np.concatenate([[0], np.cumsum(moved.sum(axis=1))]).astype("<u4"),
        "unit_vertices": np.nonzero(moved)[1].astype("<u2"),
        "unit_moves": units[moved],
        "unit_scale": stored["unit_shapes_scale"],
        "unit_seen": problem.seen.astype("u1"),
        "unit_length": problem.length,
        "unit_gram": problem.gram,
        "unit_pull": problem.pull,
        "unit_price": problem.price,
    }
    about: dict[str, Any] = {
        "name": model.name,
        "millimetres_per_unit": model.millimetres_per_unit,
        "unit_names": [*model.unit_names],
        "arrays": {},
    }
    body = bytearray()
    for name, array in arrays.items():
        body += bytes(-len(body) % 8)
        kind = array.dtype.newbyteorder("<")
        about["arrays"][name] = [kind.str.lstrip("<|"), [*array.shape], len(body)]
        body += np.ascontiguousarray(array, dtype=kind).tobytes()
    text = json.dumps(about).encode()
    text += b" " * (-(8 + len(text)) % 8)
    return _MAGIC + struct.pack("<I", len(text)) + text + bytes(body)


@lru_cache(maxsize=1)
def settings_file() -> bytes:
    """Constants of ``--quality fast``."""
    info = OnnxRegressor(SHIPPED["slim"], threads=1).info
    detector = yunet.YuNetDetector(threads=1)
    own = info.detector_calibration.get(detector.name)
    calibration = yunet.CALIBRATION if own is None else SquareCalibration(own)
    content = {
        "whitening": {
            "mean": info.whitening.mean.astype(float).tolist(),
            "std": info.whitening.std.astype(float).tolist(),
        },
        "network": {
            "architecture": info.architecture,
            "frame": info.frame,
            "border": info.border,
            "channels": info.channel_order,
            "crop_rule": info.crop_rule,
        },
        "detector": {
            "sides": [*detector.sides],
            "threshold": detector.threshold,
            "enough": detector.enough,
            "small": detector.small,
            "turned_side": detector.turned_side,
            "doubtful_below": doubtful_below(detector),
            "sure": yunet.SURE,
            "part": yunet.PART,
            "max_iou": yunet.MAX_IOU,
            "candidates": yunet.CANDIDATES,
            "strides": [*yunet.STRIDES],
            "multiple": yunet.MULTIPLE,
            "calibration": [[*row] for row in calibration.weights],
        },
        "looks": {
            "same_place": looks.SAME_PLACE,
            "same_size": looks.SAME_SIZE,
            "same_face_iou": reader.SAME_FACE_IOU,
            "confirmed": reader.CONFIRMED,
            "min_confidence": LOST_BELOW,
        },
        "trust": {"usable_nme": USABLE_NME, "steepness": STEEPNESS, "lost_below": LOST_BELOW},
        "lines": [[part.start, part.stop, closed] for part, closed in DRAW_GROUPS],
    }
    return json.dumps(content).encode()
