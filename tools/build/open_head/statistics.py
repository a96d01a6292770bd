"""Statistics of faces: the mean, the covariance of the dictionaries, and the modes."""

from collections.abc import Callable

import numpy as np

from .dictionary import Dictionary, mirror_names
from .source import Array
from .topology import Head

Log = Callable[[str], None]
AtLandmarks = Callable[[Array], Array]
"""Base displacement fields (..., n, 3) -> displacements of the landmarks (..., 68, 3)."""

NOISE_MM = 0.5
PRIOR_WEIGHT = 0.02
"""Pull of the artists' prior on the covariance, in units of the data."""
UNIT_FLOOR = 0.015
"""Second moment added to every expression unit, for units that landmarks do not show."""
BROW_EMPHASIS, EYE_EMPHASIS = 4.0, 15.0
"""Weight of brows and lids against the mouth when ten expression modes are chosen."""
LANDMARK_WEIGHT = 8.0
"""Weight of the landmarks against the whole surface when modes are chosen."""


def ridge_mean(design: Array, target: Array, prior: Array) -> Array:
    """Most probable coefficients with ``target ~ design c`` and c ~ N(0, prior^2)."""
    scaled = design * prior
    gram = scaled @ scaled.T + NOISE_MM**2 * np.eye(len(design))
    return prior * (scaled.T @ np.linalg.solve(gram, target))


def slider_covariance(design: Array, moment: Array, prior: Array, rounds: int = 30) -> Array:
    """Covariance of centred normal coefficients seen through ``data = design c + noise``.

    ``moment`` (d, d) is the second moment of the data; directions that the data do not show
    keep the prior.
    """
    covariance = start = np.diag(prior**2)
    for _ in range(rounds):
        # Posterior by the Woodbury identity: never inverts the large matrix.
        half = design @ covariance
        gain = np.linalg.solve(half @ design.T + NOISE_MM**2 * np.eye(len(design)), half).T
        posterior = covariance - gain @ half
        covariance = (gain @ moment @ gain.T + posterior + PRIOR_WEIGHT * start) / (
            1 + PRIOR_WEIGHT
        )
        covariance = (covariance + covariance.T) / 2
    return covariance


def _nonnegative(gram: Array, cross: Array, rounds: int = 400) -> Array:
    """Rows x minimising x G x / 2 - x c with 0 <= x <= 1.3, by accelerated projection."""
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    x = previous = np.zeros_like(cross)
    for k in range(rounds):
        y = x + (k / (k + 3)) * (x - previous)
        previous, x = x, np.clip(y - step * (y @ gram - cross), 0, 1.3)
    return x


def unit_spread(modes: Array, data: Array, rounds: int = 40) -> Array:
    """Factors (K,) that give real faces' coefficients a second moment of 1.

    Args:
        modes: (K, 68, 3) landmark displacements per coefficient.
        data: (N, 68, 3) displacements of real faces.
    """
    design = modes.reshape(len(modes), -1).T
    flat = data.reshape(len(data), -1)
    variance = np.ones(len(modes))
    for _ in range(rounds):
        posterior = np.linalg.inv(design.T @ design / NOISE_MM**2 + np.diag(1 / variance))
        c = flat @ (posterior @ design.T / NOISE_MM**2).T
        variance = (c**2).mean(axis=0) + np.diag(posterior)
    return np.sqrt(np.clip(variance, 0.05, 20.0))


def _for_choosing(
    head: Head, fields: Array, seen: Array, linear: Array, emphasis: Array | float = 1.0
) -> Array:
    """Rows by whose size modes are chosen: movement of the dense mesh, then of the landmarks.

    Args:
        fields: (K, n, 3) base displacement fields; seen: (K, 68, 3) what landmarks see of them.
        emphasis: weight of each landmark, (68,), or of all.
    """
    flat = np.moveaxis(fields, 0, 1).reshape(fields.shape[1], -1)
    moved = (head.matrix @ flat).reshape(-1, len(fields), 3) @ linear.T
    a = np.moveaxis(moved, 1, 0).reshape(len(fields), -1) * np.sqrt(1 / head.matrix.shape[0])
    weights = np.sqrt(LANDMARK_WEIGHT / 68 * np.repeat(np.broadcast_to(emphasis, 68), 3))
    return np.concatenate([a, seen.reshape(len(fields), -1) * weights], axis=1)


def identity_modes(
    head: Head,
    dictionaries: tuple[Dictionary, Dictionary],
    covariances: list[Array],
    at: AtLandmarks,
    linear: Array,
    log: Log,
) -> list[Array]:
    """The 40 most important directions of both dictionaries, standard normal coefficients."""
    found = []
    for part, (dictionary, covariance) in enumerate(zip(dictionaries, covariances, strict=True)):
        root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(covariance)))
        fields = np.einsum("kni,kj->jni", dictionary.fields, root)
        rows = _for_choosing(head, fields, at(fields), linear)
        u, size, _ = np.linalg.svd(rows, full_matrices=False)
        found += [(size[k], part, root @ u[:, k]) for k in range(len(size))]
    found.sort(key=lambda item: -item[0])
    total = sum(item[0] ** 2 for item in found)
    kept = sum(item[0] ** 2 for item in found[:40])
    count = sum(item[1] == 0 for item in found[:40])
    log(f"identity: 40 modes ({count} symmetric) hold {100 * kept / total:.1f} % of the variance")
    out = [np.zeros((len(d.names), 40)) for d in dictionaries]
    for k, (_, part, column) in enumerate(found[:40]):
        out[part][:, k] = column
    return out


def expression_modes(
    names: tuple[str, ...],
    fields: Array,
    head: Head,
    change: Array,
    at: AtLandmarks,
    linear: Array,
    log: Log,
) -> Array:
    """(52, 10) mixtures of ARKit units, each mode symmetric or antisymmetric."""
    design = at(fields).reshape(len(names), -1)
    gram = design @ design.T + 1.0 * np.eye(len(names))
    weights = _nonnegative(gram, change.reshape(len(change), -1) @ design.T)
    rest = change.reshape(len(change), -1) - weights @ design
    size = np.sqrt((change**2).sum(axis=(1, 2)).mean() / 68)
    left = np.sqrt((rest**2).sum(axis=1).mean() / 68)
    log(f"expression: units explain all but {left:.2f} of {size:.2f} mm (RMS per landmark)")
    moment = weights.T @ weights / len(weights) + UNIT_FLOOR * np.eye(len(names))
    twin = mirror_names(names)
    moment = (moment + moment[np.ix_(twin, twin)]) / 2
    swap = np.eye(len(names))[twin]
    emphasis = np.ones(68)
    emphasis[17:27], emphasis[36:48] = BROW_EMPHASIS, EYE_EMPHASIS
    full = _for_choosing(head, fields, at(fields), linear, emphasis)
    found = []
    for sign in (1, -1):
        project = (np.eye(len(names)) + sign * swap) / 2
        part = project @ moment @ project
        value, vector = np.linalg.eigh(part)
        root = vector[:, value > 1e-9] * np.sqrt(value[value > 1e-9])
        u, size, _ = np.linalg.svd(root.T @ full, full_matrices=False)
        found += [(size[k], root @ u[:, k]) for k in range(len(size))]
    found.sort(key=lambda item: -item[0])
    total = sum(item[0] ** 2 for item in found)
    log(f"expression: 10 modes hold {100 * sum(i[0] ** 2 for i in found[:10]) / total:.1f} %")
    return np.array([column for _, column in found[:10]]).T
