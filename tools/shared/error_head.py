"""Teach trained weights to tell their expected error, and say how well they tell it.

A linear score of the pooled features is learned on the training crops, whole and spoiled; its map
to an expected NME is calibrated on the held-back crops.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from synergynet import SynergyNetError, read_image
from synergynet.datasets.augmentation import AugmentationConfig, Augmenter
from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.detection import create_detector
from synergynet.evaluation.confidence import (
    Reliability,
    background_squares,
    calibrate,
    degrade,
    learn_weight,
    reliability,
    roc_auc,
    spearman,
)
from synergynet.evaluation.metrics import nme
from synergynet.face_model.model import FaceModel
from synergynet.geometry import frames
from synergynet.geometry.crops import zero_border
from synergynet.geometry.params import INPUT_SIZE, FloatArray
from synergynet.nets.torch.synergynet import SynergyNet
from synergynet.outputs.formats import write_picture
from synergynet.regression import LOST_BELOW, cut_crops
from synergynet.regression.trust import STEEPNESS, USABLE_NME, confidence
from synergynet.training.config import TrainConfig
from synergynet.training.crops import load_training_data
from synergynet.training.validation import to_input
from synergynet.weights.error_head import ErrorHead
from synergynet.weights.info import WeightsInfo

from .reliability_figure import draw_reliability

Kind = Literal["clean", "varied", "spoiled"]
KINDS: tuple[Kind, ...] = ("clean", "varied", "spoiled")
TRAINING_KINDS: tuple[tuple[Kind, ...], ...] = (("clean", "spoiled"), ("varied", "spoiled"))
"""Of crops with even and odd numbers."""
HELD_BACK_KINDS: tuple[Kind, ...] = ("clean", *("varied",) * 2, *("spoiled",) * 4)
WHOLE_COUNTS = 4.0
"""Importance of a crop that is not spoiled: errors of good crops are to be told apart too."""
LEARNING_CROPS = 20_000
"""A larger training set is thinned to as many, evenly: the weight has 1280 numbers to learn."""
FOLDS = 10
SQUARES_PER_PHOTO = 60
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
_BATCH = 64

_STILL = AugmentationConfig(
    mirror=0, rotate=0, scale=0, shift_pixels=0, color=0, grey=0, blur=0, low_resolution=0, noise=0,
    erase=0,
)  # fmt: skip
_VARIED = AugmentationConfig(mirror=0, rotate=0.7, rotate_degrees=25, scale=0.08, shift_pixels=4)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network makes of N crops. ``source``: number of the crop each was made from."""

    features: FloatArray
    nme: FloatArray
    kind: NDArray[np.str_]
    source: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Batch:
    """images (n, 120, 120, 3) uint8 BGR; truth (n, 3, 68) crop1; kind and source (n,)."""

    images: NDArray[np.uint8]
    truth: FloatArray
    kind: list[Kind]
    source: list[int]


def variants(
    data: LabelledCrops, kinds: Sequence[tuple[Kind, ...]], border: int, seed: int
) -> Iterator[Batch]:
    """Variants of every crop: ``kinds`` in turn, crop by crop; deterministic."""
    still, varied = (
        Augmenter(config.model_copy(update={"border": border})) for config in (_STILL, _VARIED)
    )
    jobs = [(i, v, k) for i in range(len(data)) for v, k in enumerate(kinds[i % len(kinds)])]
    for start in range(0, len(jobs), _BATCH):
        batch, images, truth = jobs[start : start + _BATCH], [], []
        for index, variant, kind in batch:
            rng = np.random.default_rng([seed, index, variant])
            image, _, points = (still if kind == "clean" else varied)(
                data.images[index], data.params[index], data.landmarks[index], rng
            )
            if kind == "spoiled":
                other = data.images[rng.integers(len(data))]
                image = zero_border(degrade(image, points, other, rng)[None], border)[0]
            images.append(image)
            truth.append(points.T)
        yield Batch(
            np.stack(images), np.stack(truth), [k for *_, k in batch], [i for i, *_ in batch]
        )


def held_back_variants(data: LabelledCrops, border: int) -> Iterator[Batch]:
    """The same ones whatever is measured on them."""
    return variants(data, [HELD_BACK_KINDS], border, seed=2)


def look(net: SynergyNet, info: WeightsInfo, batches: Iterable[Batch]) -> Seen:
    """Run the network on batches and compare its landmarks with the truth."""
    parts = []
    for batch in batches:
        params, features = forward(net, batch.images)
        errors = 100 * nme(decoded(net, info, params), batch.truth)
        parts.append((features, errors, batch.kind, batch.source))
    return Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def decoded(net: SynergyNet, info: WeightsInfo, whitened: FloatArray) -> FloatArray:
    """Whitened (n, 62) -> landmarks (n, 68, 3), crop1 frame."""
    points = net.face_model.decode_landmarks(info.whitening.dewhiten(whitened))
    if info.frame == "protocol":
        points = frames.x120_to_crop1(
            points, np.tile([1, 1, INPUT_SIZE, INPUT_SIZE], (len(points), 1))
        )
    return points


def forward(net: SynergyNet, images: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """(N, 120, 120, 3) -> whitened params (N, 62), pooled features (N, F)."""
    with torch.inference_mode():
        parts = [net.I2P(to_input(images[i : i + _BATCH])) for i in range(0, len(images), _BATCH)]
    params, features = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return params, features


def folds(seen: Seen) -> Iterator[NDArray[np.bool_]]:
    """Masks that take each variant once, all variants of a crop together."""
    return (seen.source % FOLDS == fold for fold in range(FOLDS))


def learn(
    net: SynergyNet, info: WeightsInfo, training: LabelledCrops, held_back: LabelledCrops
) -> tuple[ErrorHead, Seen, FloatArray]:
    """Learn and calibrate.

    Returns:
        the head, the held-back crops as the network saw them, and their expected NME by maps
        that were calibrated without the crop in question.
    """
    few = np.linspace(0, len(training) - 1, min(len(training), LEARNING_CROPS)).astype(int)
    training = training.subset(np.isin(np.arange(len(training)), few))
    seen = look(net, info, variants(training, TRAINING_KINDS, info.border, seed=1))
    importance = np.where(seen.kind == "spoiled", 1.0, WHOLE_COUNTS)
    weight = learn_weight(seen.features, seen.nme, importance)
    seen = look(net, info, held_back_variants(held_back, info.border))
    scores = seen.features.astype(np.float64) @ weight
    expected = np.empty_like(scores)
    for held in folds(seen):
        part = calibrate(weight, scores[~held], seen.nme[~held])
        expected[held] = part.expected_nme(seen.features[held])
    return calibrate(weight, scores, seen.nme), seen, expected


def marked_crops(
    config: TrainConfig, model: FaceModel, marked: Path | None
) -> tuple[LabelledCrops, LabelledCrops]:
    """Training and held-back crops to learn the head from, each once.

    Args:
        marked: quality file in place of the recipe's.
    """
    update: dict[str, object] = {"extra": [], "yaw_balance": 0.0}
    if marked is not None:
        update["quality"] = marked
    data = config.data.model_copy(update=update)
    return load_training_data(config.model_copy(update={"data": data}), model)


def background_crops(folders: list[Path], border: int) -> NDArray[np.uint8]:
    """(N, 120, 120, 3) crops without faces, of every photo in the folders."""
    detector, rng, out = create_detector("default"), np.random.default_rng(3), []
    paths = [p for folder in folders for p in sorted(folder.iterdir())]
    for path in (p for p in paths if p.suffix.lower() in PHOTO_SUFFIXES):
        photo = read_image(path)
        faces = [d.box for d in detector.detect(photo)]
        squares = background_squares(photo.shape, faces, SQUARES_PER_PHOTO, rng)
        out.append(cut_crops(photo, squares, border=border))
    if not out:
        raise SynergyNetError(f"{', '.join(map(str, folders))}: no photos to cut backgrounds from")
    return np.concatenate(out)


def report(
    seen: Seen, expected: FloatArray, others: FloatArray | None
) -> tuple[dict[str, float], Reliability]:
    """Print what the expected errors are worth; returns the figures for the metadata.

    Args:
        expected: of ``seen``, cross-validated.
        others: expected NME of crops without faces.
    """
    figures: dict[str, float] = {}
    for kind in KINDS:
        mine = seen.kind == kind
        figures[f"spearman_{kind}"] = spearman(expected[mine], seen.nme[mine])
        print(
            f"{kind}: {mine.sum()} crops, NME {seen.nme[mine].mean():.2f} %, expected "
            f"{expected[mine].mean():.2f} %, Spearman {figures[f'spearman_{kind}']:.3f}, kept "
            f"{_kept(expected[mine])}"
        )
    clean = seen.kind == "clean"
    table = reliability(expected, seen.nme)
    figures["reliability_error"] = table.error
    print("expected:", *(f"{v:.2f}" for v in table.expected))
    print("observed:", *(f"{v:.2f}" for v in table.observed), f"(log error {table.error:.3f})")
    for name, mine in (("NME < 5 %", seen.nme < 5), ("NME > 15 %", seen.nme > 15)):
        mine = mine & (seen.kind == "spoiled")
        print(f"spoiled with {name}: {mine.sum()}, kept {_kept(expected[mine])}")
    trust, good = confidence(expected), seen.nme < USABLE_NME
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.0)):
        mine = (trust >= low) & (trust <= high)
        print(
            f"confidence {low} to {high}: {mine.sum()} crops, mean {trust[mine].mean():.3f}, "
            f"NME < {USABLE_NME:g} % in {good[mine].mean():.3f}"
        )
    print(f"steepness that fits best: {_best_steepness(expected, good)} (in use: {STEEPNESS:g})")
    if others is not None:
        figures["auc_backgrounds"] = roc_auc(expected[clean], others)
        print(
            f"no face: {len(others)} crops, AUC {figures['auc_backgrounds']:.5f}, expected NME at "
            f"least {others.min():.1f}, median {np.median(others):.1f} %, kept {_kept(others)}"
        )
    return figures, table


def _kept(expected: FloatArray) -> str:
    return f"{100 * (confidence(expected) >= LOST_BELOW).mean():.2f} %"


def _best_steepness(expected: FloatArray, good: NDArray[np.bool_]) -> float:
    """The exponent under which ``confidence`` makes the outcomes likeliest."""
    x = np.log(expected / USABLE_NME)
    choices = np.arange(2, 12.1, 0.5)
    loss = [np.logaddexp(0, np.where(good, 1, -1) * k * x).mean() for k in choices]
    return float(choices[int(np.argmin(loss))])


def teach(
    net: SynergyNet,
    info: WeightsInfo,
    training: LabelledCrops,
    held_back: LabelledCrops,
    backgrounds: list[Path],
    figure: Path | None = None,
) -> WeightsInfo:
    """``info`` with an error head and its figures; prints the report and draws the figure."""
    head, seen, expected = learn(net, info, training, held_back)
    others = None
    if backgrounds:
        crops = background_crops(backgrounds, info.border)
        others = head.expected_nme(forward(net, crops)[1])
    figures, table = report(seen, expected, others)
    if figure is not None:
        write_picture(figure, draw_reliability(table, expected[seen.kind == "clean"], others))
    rounded = {f"confidence_{k}": round(v, 4) for k, v in figures.items()}
    return replace(info, error_head=head, accuracy={**info.accuracy, **rounded})
