"""Run a trained network: photo and crop boxes -> crops -> the 62 raw parameters of each face."""

from .base import AssessingRegressor, ParamsRegressor, Prediction, assess, normalise
from .confidence import LOST_BELOW, confidence
from .cropping import cut_crops
from .loading import load_regressor

__all__ = [
    "LOST_BELOW",
    "AssessingRegressor",
    "ParamsRegressor",
    "Prediction",
    "assess",
    "confidence",
    "cut_crops",
    "load_regressor",
    "normalise",
]
