"""Published protocols: AFLW2000-3D landmarks (NME) and head pose (MAE)."""

from .aflw2000 import evaluate_params, evaluate_regressor, load_params
from .breakdown import Group
from .metrics import AnswerFrame, BinnedNme, EulerMae
from .report import print_result
from .result import EvaluationResult
from .worst import draw_worst

__all__ = [
    "AnswerFrame",
    "BinnedNme",
    "EulerMae",
    "EvaluationResult",
    "Group",
    "draw_worst",
    "evaluate_params",
    "evaluate_regressor",
    "load_params",
    "print_result",
]
