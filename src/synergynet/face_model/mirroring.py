"""Parameters of a face as a mirror shows it."""

import numpy as np

from ..errors import SynergyNetError
from ..geometry import params, pose
from ..geometry.params import FloatArray
from .model import FaceModel


def mirrored_params(model: FaceModel, raw: FloatArray) -> FloatArray:
    """Raw parameters (..., 62) of the left-right mirrored crop, crop1 frame on both sides.

    Raises:
        SynergyNetError: the model has no mirror symmetry.
    """
    if model.mirror_signs is None:
        raise SynergyNetError(f"face model '{model.name}' is not symmetric; turn mirroring off")
    out = np.array(raw)
    camera = params.split(raw)[0]
    out[..., params.POSE] = pose.mirror_camera(camera).reshape(*camera.shape[:-2], -1)
    out[..., params.COEFFICIENTS] *= model.mirror_signs
    return out
