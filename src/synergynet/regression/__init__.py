"""Run a trained network: photo and crop boxes -> crops -> the 62 raw parameters of each face."""

from .base import ParamsRegressor, normalise
from .cropping import cut_crops
from .loading import load_regressor

__all__ = ["ParamsRegressor", "cut_crops", "load_regressor", "normalise"]
