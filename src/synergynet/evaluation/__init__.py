"""Published protocols: how well a network does on AFLW2000-3D and other benchmarks."""

from .aflw2000 import EvaluationResult
from .answers import evaluate_params, evaluate_regressor, load_params
from .metrics import AnswerFrame, BinnedNme, EulerMae, Group
from .report import draw_worst, print_result, worst_faces
from .sets import DEFAULT_SET, EVALUATION_SETS, evaluation_set

__all__ = [
    "DEFAULT_SET",
    "EVALUATION_SETS",
    "AnswerFrame",
    "BinnedNme",
    "EulerMae",
    "EvaluationResult",
    "Group",
    "draw_worst",
    "evaluate_params",
    "evaluate_regressor",
    "evaluation_set",
    "load_params",
    "print_result",
    "worst_faces",
]
