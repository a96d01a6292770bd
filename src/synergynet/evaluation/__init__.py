"""Published protocols: AFLW2000-3D landmarks (NME) and head pose (MAE)."""

from .aflw2000 import evaluate_params, evaluate_regressor, load_params
from .metrics import AnswerFrame, BinnedNme, EulerMae
from .report import print_result
from .result import EvaluationResult

__all__ = [
    "AnswerFrame",
    "BinnedNme",
    "EulerMae",
    "EvaluationResult",
    "evaluate_params",
    "evaluate_regressor",
    "load_params",
    "print_result",
]
