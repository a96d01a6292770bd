"""Run a trained network: photo and crop boxes -> crops -> the 62 raw parameters of each face."""

from .base import AssessingRegressor, ParamsRegressor, Prediction, assess, normalise
from .cropping import cut_crops
from .loading import load_regressor
from .mirrored import MirrorAveraged, can_mirror
from .trust import LOST_BELOW, confidence

__all__ = [
    "LOST_BELOW",
    "AssessingRegressor",
    "MirrorAveraged",
    "ParamsRegressor",
    "Prediction",
    "assess",
    "can_mirror",
    "confidence",
    "cut_crops",
    "load_regressor",
    "normalise",
]
