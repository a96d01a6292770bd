"""Two processes under torchrun train what one process trains with the whole batch."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_recipe import write_recipe

pytest.importorskip("torch", reason="training needs torch")

import safetensors.torch
import torch

from synergynet.datasets.augmentation import AugmentationConfig
from synergynet.face_model.model import FaceModel
from synergynet.training.config import load_config
from synergynet.training.feed import BatchMaker
from synergynet.training.torch.loop import Trainer

pytestmark = pytest.mark.slow

# One process and two can only agree where a crop's loss does not depend on its neighbours: batch
# norm normalises each process's share by itself, dropout (none in this backbone) draws in each.
SETTINGS = [
    "backbone=mobilenet_025",
    "freeze_batch_norm=true",
    "optimizer.name=sgd",
    "optimizer.learning_rate=0.01",
    "batch_size=8",
    "steps=8",
    "log_every=1",
    "validate_every=8",
]
TWO_PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_model: FaceModel) -> Path:
    return write_recipe(tmp_path_factory.mktemp("train"), tiny_model)


@pytest.fixture(scope="module")
def alone(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """The run of one process."""
    output = tmp_path_factory.mktemp("alone")
    trainer = Trainer(load_config(recipe, [*SETTINGS, f"output={output}"]))
    trainer.run()
    return trainer


def torchrun(recipe: Path, output: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, *TWO_PROCESSES, "-m", "synergynet", "train", str(recipe)),
            *(*SETTINGS, f"output={output}", *settings),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def losses(output: Path) -> list[tuple[str, float]]:
    """(step, loss) of every line."""
    with (output / "log.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["name"] == "loss_total"]
    return [(row["step"], float(row["value"])) for row in rows]


def assert_same_run(output: Path, alone: Trainer) -> None:
    expected, found = losses(alone.output), losses(output)
    assert [step for step, _ in found] == [str(s) for s in range(1, 9)]  # each of them once
    assert max(v for _, v in expected) > 1.02 * min(v for _, v in expected)  # it moves
    np.testing.assert_allclose([v for _, v in found], [v for _, v in expected], rtol=1e-4)
    first = safetensors.torch.load_file(alone.state_file)
    second = safetensors.torch.load_file(output / "last.safetensors")
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-3, atol=1e-5)


def test_two_processes_train_like_one(recipe: Path, tmp_path: Path, alone: Trainer) -> None:
    done = torchrun(recipe, tmp_path, "accumulate=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done: validation") == 1  # one of them talks
    assert_same_run(tmp_path, alone)


def test_two_processes_go_on_where_one_stopped(
    recipe: Path, tmp_path: Path, alone: Trainer
) -> None:
    class Stop(Exception):
        pass

    def stop(step: int, _total: int, _numbers: dict[str, float]) -> None:
        if step == 4:
            raise Stop

    config = load_config(recipe, [*SETTINGS, f"output={tmp_path}"])
    with pytest.raises(Stop):
        Trainer(config, stop).run()
    done = torchrun(recipe, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on from step 3" in done.stdout
    assert_same_run(tmp_path, alone)


def test_a_mistake_ends_all_processes(recipe: Path, tmp_path: Path) -> None:
    done = torchrun(recipe, tmp_path, "batch_size=7")
    assert done.returncode != 0
    assert "does not divide into 2 process(es)" in done.stderr


def test_shares_are_the_rows_of_the_whole_batch(alone: Trainer) -> None:
    def make(rows: slice) -> np.ndarray:
        maker = BatchMaker(
            alone.train_crops,
            alone.model,
            alone.whitening,
            AugmentationConfig(),
            batch_size=8,
            seed=0,
            rows=rows,
        )
        batch = maker.make(9)  # reaches over the end of a pass
        flat = [batch.images, batch.params, batch.landmarks]
        return np.concatenate([a.reshape(len(a), -1).astype(np.float64) for a in flat], axis=1)

    whole = make(slice(None))
    assert len(whole) == 8 and len(np.unique(whole, axis=0)) == 8
    np.testing.assert_array_equal(np.concatenate([make(slice(0, 4)), make(slice(4, 8))]), whole)
