"""The space of shapes Open Head draws from: artists' sliders and smooth deformations.

Columns are displacement fields of the base mesh in millimetres. Each is exactly symmetric or
antisymmetric under left-right mirroring, so that identity modes are too.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .source import TARGETS, UNITS, Array, Source

FOLDERS = ("head", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "mouth", "nose", "asym")
SKIPPED = re.compile(r"asymm-|head-trans|head-age|ear-shape-pointed|neck-|mouth-trans-(in|out)")
OPPOSITES = (
    ("-decr", "-incr"),
    ("-down", "-up"),
    ("-backward", "-forward"),
    ("-in", "-out"),
    ("-concave", "-convex"),
    ("-compress", "-uncompress"),
)
ANCESTRY = ("african", "asian", "caucasian")
KERNEL_MM = 22.0
"""Length scale of the smooth deformations that are centred on the landmarks."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Displacement fields of one symmetry: fields (K, n, 3), prior standard deviations (K,)."""

    names: tuple[str, ...]
    fields: Array
    prior: Array


def base_face(source: Source) -> Array:
    """(n, 3) the average of MakeHuman's young adults of both sexes and all ancestries."""
    prefix = TARGETS + "macrodetails/"
    mean = source.vertices.copy()
    for ancestry in ANCESTRY:
        for sex in ("female", "male"):
            mean += source.target(f"{prefix}{ancestry}-{sex}-young.target.gz") / 6
    for sex in ("female", "male"):
        name = f"universal-{sex}-young-averagemuscle-averageweight.target.gz"
        mean += source.target(prefix + name) / 2
    return (mean + source.mirrored(mean)) / 2


def _macro_fields(source: Source) -> dict[str, Array]:
    prefix = TARGETS + "macrodetails/"

    def target(name: str) -> Array:
        return source.target(f"{prefix}{name}.target.gz")

    young = {(a, s): target(f"{a}-{s}-young") for a in ANCESTRY for s in ("female", "male")}
    old = {(a, s): target(f"{a}-{s}-old") for a in ANCESTRY for s in ("female", "male")}
    fields = {f"macro-{a}": (young[a, "female"] + young[a, "male"]) / 2 for a in ANCESTRY}
    average = np.mean(list(fields.values()), axis=0)
    fields = {name: field - average for name, field in fields.items()}
    sexes = "universal-{}-young-averagemuscle-averageweight"
    by_ancestry = np.mean([young[a, "male"] - young[a, "female"] for a in ANCESTRY], axis=0)
    body = target(sexes.format("male")) - target(sexes.format("female"))
    fields["macro-sex"] = (body + by_ancestry) / 2
    fields["macro-age"] = np.mean([old[k] - young[k] for k in young], axis=0)
    for sex in ("female", "male"):
        heavy = target(f"universal-{sex}-young-averagemuscle-maxweight")
        light = target(f"universal-{sex}-young-averagemuscle-minweight")
        fields[f"macro-weight-{sex}"] = (heavy - light) / 2
    return fields


def _slider_fields(source: Source) -> dict[str, Array]:
    """One field per slider; opposite targets become one two-sided slider."""
    raw = {}
    for folder in FOLDERS:
        for path in source.names(f"{TARGETS}{folder}/"):
            name = path.rsplit("/", 1)[-1].removesuffix(".target.gz")
            if not SKIPPED.search(name):
                raw[name] = source.target(path)
    fields: dict[str, Array] = {}
    done: set[str] = set()
    for name, field in raw.items():
        if name in done:
            continue
        for low, high in OPPOSITES:
            partner = name.replace(low, high) if name.endswith(low) else None
            if partner is not None and partner in raw:
                fields[name.removesuffix(low)] = (raw[partner] - field) / 2
                done.update((name, partner))
                break
    fields.update({n: f for n, f in raw.items() if n not in done})
    return fields


def identity_dictionaries(
    source: Source, centres: Array, region: NDArray[np.bool_]
) -> tuple[Dictionary, Dictionary]:
    """Symmetric and antisymmetric dictionaries.

    Args:
        centres: (68, 3) landmark positions on :func:`base_face` for the smooth deformations.
        region: (n,) base vertices that belong to the head; norms are measured there.
    """
    face = base_face(source)
    fields = _slider_fields(source)
    sliders = [(n, f, 1.6) for n, f in (*fields.items(), *_macro_fields(source).items())]
    distance = ((face[:, None] - centres) ** 2).sum(axis=2)
    kernel = np.exp(-distance / (2 * KERNEL_MM**2))
    for index in range(len(centres)):
        for axis in range(3):
            bump = np.zeros_like(face)
            bump[:, axis] = kernel[:, index]
            sliders.append((f"smooth-{index}-{'xyz'[axis]}", bump, 0.35))
    out = []
    for sign in (1, -1):
        names, columns, prior = [], [], []
        for name, field, spread in sliders:
            if sign > 0 and (name.startswith("r-") or name.endswith("-r")):
                continue  # the left one, symmetrised, is the same field
            part = (field + sign * source.mirrored(field)) / 2
            size = np.sqrt((part[region] ** 2).sum(axis=1).max())
            if size < 0.02:
                continue
            names.append(name)
            columns.append(part / size)
            prior.append(spread * (0.5 if sign < 0 else 1.0))
        out.append(Dictionary(tuple(names), np.array(columns), np.array(prior)))
    return out[0], out[1]


def expression_units(source: Source, eye_scale: float = 1.0) -> tuple[tuple[str, ...], Array]:
    """Names and fields (52, n, 3) of the ARKit units; left and right made exact mirrors.

    ``eye_scale`` shrinks the movements of the lids with the calibrated eye opening.
    """
    raw = {
        path.rsplit("/", 1)[-1].removesuffix(".target"): source.target(path)
        for path in source.names(UNITS)
    }
    fields = {}
    for name, field in raw.items():
        fields[name] = (field + source.mirrored(raw[_twin(name)])) / 2
        if name.startswith("eye"):
            fields[name] *= eye_scale
    return tuple(fields), np.array(list(fields.values()))


def mirror_names(names: tuple[str, ...]) -> list[int]:
    """For each unit the index of its left-right twin."""
    return [names.index(_twin(name)) for name in names]


def _twin(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name
