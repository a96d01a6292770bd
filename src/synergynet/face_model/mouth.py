"""The opening of a head's mouth."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .model import FaceModel


@lru_cache(maxsize=2)
def mouth_loop(model: FaceModel) -> NDArray[np.intp]:
    """(M,) vertices round the opening of the mouth, in the order of the skin's edge.

    Empty where the model's lips are not at an edge of its mesh.
    """
    edges = model.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).tolist()
    directed = {(a, b) for a, b in edges}
    following = {a: b for a, b in directed if (b, a) not in directed}
    lips = model.landmark_vertices[60:68].ravel().tolist()
    start = at = next((v for v in lips if v in following), -1)
    loop = []
    while at in following:
        loop.append(at)
        at = following.pop(at)
    return np.array(loop if at == start else [], dtype=np.intp)
