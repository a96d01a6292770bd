#!/usr/bin/env python3
"""Teach trained weights to tell how far off they are, and measure how well they tell it.

    python tools/build/calibrate_confidence.py configs/open_head/efficientnet_lite0.yaml \
        --weights weights/efficientnet_lite0.safetensors --backgrounds photos/

Where labels are a network's own answers, it makes hardly an error to learn from: --marked names
the crops that a person has marked, and no others are used.

A linear score of the pooled features is learned on the training crops, whole and spoiled; its map
to an expected NME is calibrated on the held-back crops. The head goes into the metadata of
the weights; with --figure the diagram is drawn too. Takes about 5 minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from reliability_figure import draw_reliability

from synergynet.datasets.augmentation import AugmentationConfig, Augmenter
from synergynet.datasets.readers.crop_list import LabelledCrops
from synergynet.detection import create_detector
from synergynet.evaluation.aflw2000 import mirror_landmarks
from synergynet.evaluation.confidence import (
    WORST_NME,
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
from synergynet.face_model.sources import resolve_face_model
from synergynet.files.images import read_image
from synergynet.geometry import frames
from synergynet.geometry.crops import zero_border
from synergynet.geometry.params import EXPRESSION, INPUT_SIZE, POSE, SHAPE, FloatArray, split
from synergynet.geometry.pose import euler_from_camera
from synergynet.nets.torch.checkpoints import load_checkpoint, save_checkpoint
from synergynet.nets.torch.synergynet import SynergyNet
from synergynet.outputs.formats import write_picture
from synergynet.regression import LOST_BELOW, cut_crops
from synergynet.regression.trust import STEEPNESS, USABLE_NME, confidence
from synergynet.training.config import TrainConfig, load_config
from synergynet.training.crops import load_training_data
from synergynet.training.validation import to_input
from synergynet.weights.error_head import ErrorHead
from synergynet.weights.info import WeightsInfo

Kind = Literal["clean", "varied", "spoiled"]
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

    params: FloatArray
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
    configs: dict[Kind, AugmentationConfig] = {
        "clean": _STILL, "varied": _VARIED, "spoiled": _VARIED
    }  # fmt: skip
    augmenters = {
        kind: Augmenter(config.model_copy(update={"border": border}))
        for kind, config in configs.items()
    }
    jobs = [(i, v, k) for i in range(len(data)) for v, k in enumerate(kinds[i % len(kinds)])]
    for start in range(0, len(jobs), _BATCH):
        batch, images, truth = jobs[start : start + _BATCH], [], []
        for index, variant, kind in batch:
            rng = np.random.default_rng([seed, index, variant])
            image, _, points = augmenters[kind](
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


def look(net: SynergyNet, info: WeightsInfo, batches: Iterable[Batch]) -> Seen:
    """Run the network on batches and compare its landmarks with the truth."""
    params, features, errors = [], [], []
    kind: list[Kind] = []
    source: list[int] = []
    for batch in batches:
        whitened, pooled = forward(net, batch.images)
        found = decoded(net, info, whitened)
        params.append(whitened)
        features.append(pooled)
        errors.append(100 * nme(found, batch.truth))
        kind += batch.kind
        source += batch.source
    return Seen(
        np.concatenate(params),
        np.concatenate(features),
        np.concatenate(errors),
        np.array(kind),
        np.array(source),
    )


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


def learn(
    net: SynergyNet, info: WeightsInfo, training: LabelledCrops, held_back: LabelledCrops
) -> tuple[ErrorHead, Seen, FloatArray]:
    """Learn and calibrate.

    Returns:
        the head, the held-back crops as the network saw them, and their expected NME by maps
        that were calibrated without the crop in question.
    """
    thinned = np.zeros(len(training), dtype=bool)
    thinned[np.linspace(0, len(training) - 1, min(len(training), LEARNING_CROPS)).astype(int)] = (
        True
    )
    training = training.subset(thinned)
    seen = look(net, info, variants(training, TRAINING_KINDS, info.border, seed=1))
    importance = np.where(seen.kind == "spoiled", 1.0, WHOLE_COUNTS)
    weight = learn_weight(seen.features, seen.nme, importance)
    seen = look(net, info, variants(held_back, [HELD_BACK_KINDS], info.border, seed=2))
    scores = seen.features.astype(np.float64) @ weight
    expected = np.empty_like(scores)
    for fold in range(FOLDS):
        held = seen.source % FOLDS == fold
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


def photos(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)


def background_crops(folders: list[Path], border: int) -> NDArray[np.uint8]:
    """(N, 120, 120, 3) crops without faces, of every photo in the folders."""
    detector, rng, out = create_detector("default"), np.random.default_rng(3), []
    for path in photos(folders):
        photo = read_image(path)
        faces = [d.box for d in detector.detect(photo)]
        squares = background_squares(photo.shape, faces, SQUARES_PER_PHOTO, rng)
        out.append(cut_crops(photo, squares, border=border))
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
    for kind in ("clean", "varied", "spoiled"):
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


def compare(
    net: SynergyNet,
    info: WeightsInfo,
    head: ErrorHead,
    held_back: LabelledCrops,
    backgrounds: list[Path],
) -> None:
    """Print what other signals would be worth: ridge regressions, cross-validated by crop."""
    seen = look(net, info, variants(held_back, [HELD_BACK_KINDS], info.border, seed=2))
    rows = [
        signals(net, info, head, batch.images)
        for batch in variants(held_back, [HELD_BACK_KINDS], info.border, seed=2)
    ]
    faces = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    others = signals(net, info, head, background_crops(backgrounds, info.border))
    for names in (
        ("params",), ("params", "cycle"), ("pooled",), ("pooled", "params", "cycle"),
        ("mirror",), ("pooled", "mirror"),
    ):  # fmt: skip
        x = np.concatenate([faces[name] for name in names], axis=1)
        z = np.concatenate([others[name] for name in names], axis=1)
        middle, spread = x.mean(axis=0), x.std(axis=0)
        x, z = (np.c_[(a - middle) / spread, np.ones(len(a))] for a in (x, z))
        y, guess, absent = np.log(np.minimum(seen.nme, WORST_NME)), np.empty(len(x)), []
        for fold in range(FOLDS):
            held = seen.source % FOLDS == fold
            gram = x[~held].T @ x[~held] + np.eye(x.shape[1])
            beta = np.linalg.solve(gram, x[~held].T @ y[~held])
            guess[held] = x[held] @ beta
            absent.append(z @ beta)
        ranks = [
            spearman(guess[seen.kind == kind], seen.nme[seen.kind == kind])
            for kind in ("clean", "varied", "spoiled")
        ]
        auc = roc_auc(guess[seen.kind == "clean"], np.mean(absent, axis=0))
        print(f"{' + '.join(names)}: Spearman", *(f"{r:.3f}" for r in ranks), f"AUC {auc:.5f}")


def signals(
    net: SynergyNet, info: WeightsInfo, head: ErrorHead, images: NDArray[np.uint8]
) -> dict[str, FloatArray]:
    """Signals of N crops by family, (N, k) each.

    params: size of the whitened parameters, the camera's distance from a similarity, the angles.
    cycle: distance of decoded and refined landmarks, of first- and second-stage coefficients.
    pooled: score of the error head. mirror: distance from the mirrored crop's landmarks.
    """
    params, pooled = forward(net, images)
    points = decoded(net, info, params)
    size = np.sqrt(np.ptp(points[..., :2], axis=1).prod(axis=1))

    def apart(others: FloatArray) -> FloatArray:
        return np.log(np.linalg.norm(points - others, axis=2).mean(axis=1) / size)

    camera = split(info.whitening.dewhiten(params))[0]
    axes = np.linalg.svd(camera[..., :3], compute_uv=False)
    norms = np.linalg.norm(camera[..., :3], axis=2)
    angles = np.abs(euler_from_camera(camera, "exact"))
    out = {
        "params": np.column_stack(
            [np.log(_rms(params[:, part])) for part in (POSE, SHAPE, EXPRESSION)]
            + [
                np.log(np.log(axes[:, 0] / axes[:, 2])),
                norms.std(axis=1) / norms.mean(axis=1),
                angles,
            ]
        ),
        "pooled": head.score(pooled)[:, None],
        "mirror": apart(
            mirror_landmarks(
                decoded(net, info, forward(net, np.ascontiguousarray(images[:, :, ::-1]))[0]),
                frames.CROP_FLIP,
            )
        )[:, None],
    }
    if net.reverseDirection is not None:
        with torch.inference_mode():
            refined = net.refine(torch.from_numpy(params), torch.from_numpy(pooled))
            again = net.reverseDirection(refined).numpy()
        change = params - again
        out["cycle"] = np.column_stack(
            [
                apart(refined.numpy().transpose(0, 2, 1)),
                np.log(_rms(change[:, SHAPE])),
                np.log(_rms(change[:, EXPRESSION])),
                np.log(_rms(again[:, SHAPE])),
            ]
        )
    return out


def _rms(values: FloatArray) -> FloatArray:
    return np.sqrt((values**2).mean(axis=1))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=Path, help="YAML file of the run")
    parser.add_argument("settings", nargs="*", help="key=value, as for the run")
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint; rewritten")
    parser.add_argument(
        "--marked", type=Path, help="marked.npz of refine_labels.py, in place of data.quality"
    )
    parser.add_argument(
        "--backgrounds", type=Path, nargs="+", default=[], help="folders of photos to cut from"
    )
    parser.add_argument(
        "--compare", action="store_true", help="also measure other signals; needs --backgrounds"
    )
    parser.add_argument("--figure", type=Path, help="write the diagram to this PNG")
    args = parser.parse_args()
    config = load_config(args.recipe, args.settings)
    model, _ = resolve_face_model(config.target_model)
    net, info = load_checkpoint(args.weights, model)
    training, held_back = marked_crops(config, model, args.marked)
    info = teach(net, info, training, held_back, args.backgrounds, args.figure)
    if args.compare and info.error_head is not None:
        compare(net, info, info.error_head, held_back, args.backgrounds)
    save_checkpoint(args.weights, net, info, half_weights=True)
    print(f"wrote {args.weights}")


if __name__ == "__main__":
    main()
