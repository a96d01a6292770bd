"""The training loop: it learns, it validates, and it survives a kill."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import helpers
import numpy as np
import pytest
import yaml
from helpers import REPO
from training_recipe import write_recipe

pytest.importorskip("torch", reason="training needs torch")

import safetensors.torch
import torch

from synergynet.errors import SynergyNetError
from synergynet.face_model.sources import resolve_face_model
from synergynet.nets.torch.checkpoints import load_checkpoint
from synergynet.training.config import load_config
from synergynet.training.torch.loop import Trainer


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_model) -> Path:
    return write_recipe(tmp_path_factory.mktemp("train"), tiny_model)


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / f"{name}.safetensors")


def test_a_run_writes_checkpoint_state_and_log(recipe: Path, tmp_path: Path) -> None:
    config = load_config(recipe, [f"output={tmp_path / 'run'}"])
    seen: list[int] = []
    result = Trainer(config, lambda step, _total, _numbers: seen.append(step)).run()
    assert np.isfinite([result.nme, result.mae]).all() and seen[-1] == 6
    model, _ = resolve_face_model(str(recipe.parent / "tiny.npz"))
    net, info = load_checkpoint(tmp_path / "run" / "best.safetensors", model)
    assert info.architecture == "mobilenet_v2" and info.frame == "pixel"
    assert set(info.accuracy) == {"validation_nme", "validation_nme_balanced", "validation_mae"}
    assert net(torch.zeros(1, 3, 120, 120)).shape == (1, 62)
    with (tmp_path / "run" / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {r["name"] for r in rows} >= {"loss_total", "loss_pose", "nme", "mae", "learning_rate"}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [("freeze=4",), ("accumulate=2", "optimizer.name=sgd")])
def test_killed_and_resumed_run_ends_bit_for_bit_the_same(
    recipe: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "synergynet", "train", str(recipe), "steps=8", *settings]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*command, f"output={whole}"], check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, f"output={broken}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (broken / "last.safetensors").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with safetensors.safe_open(broken / "last.safetensors", framework="pt") as opened:
        assert 0 < int(opened.metadata()["step"]) < 8
    done = subprocess.run(
        [*command, f"output={broken}"], check=True, capture_output=True, text=True
    )
    assert "going on from step" in done.stdout
    first, second = weights(whole), weights(broken)
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key


@pytest.mark.slow
def test_training_lowers_the_loss(recipe: Path, tmp_path: Path) -> None:
    plain = {"mirror": 0, "rotate": 0, "scale": 0, "shift_pixels": 0, "color": 0, "erase": 0}
    settings = ["steps=60", "batch_size=8", "log_every=1", "validate_every=60", "save_every=60"]
    config = load_config(
        recipe, [f"output={tmp_path}", f"augmentation={yaml.safe_dump(plain)}", *settings]
    )
    losses: list[float] = []
    Trainer(config, lambda _s, _t, n: losses.append(n.get("loss_total", np.nan))).run()
    values = [v for v in losses if np.isfinite(v)]
    assert len(values) == 60
    assert np.mean(values[-10:]) < 0.75 * np.mean(values[:10])


@pytest.mark.slow
def test_fine_tuning_starts_from_a_checkpoint(recipe: Path, tmp_path: Path) -> None:
    first = Trainer(load_config(recipe, [f"output={tmp_path / 'a'}", "steps=1"]))
    first.run()
    start = tmp_path / "a" / "best.safetensors"
    second = Trainer(load_config(recipe, [f"output={tmp_path / 'b'}", f"initial={start}"]))
    np.testing.assert_array_equal(second.whitening.mean, first.whitening.mean)
    for key, value in first.averaged().state_dict().items():
        assert torch.equal(second.net.state_dict()[key], value), key
    other = load_config(
        recipe, [f"output={tmp_path / 'c'}", f"initial={start}", "backbone=efficientnet_lite0"]
    )
    with pytest.raises(SynergyNetError, match="trains a efficientnet_lite0"):
        Trainer(other)


@pytest.mark.slow
def test_other_settings_do_not_resume(recipe: Path, tmp_path: Path) -> None:
    Trainer(load_config(recipe, [f"output={tmp_path}", "steps=1"])).run()
    with pytest.raises(SynergyNetError, match="other settings"):
        Trainer(load_config(recipe, [f"output={tmp_path}", "steps=1", "seed=5"]))
    state = tmp_path / "last.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(SynergyNetError, match="damaged"):
        Trainer(load_config(recipe, [f"output={tmp_path}", "steps=1"]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bach_size=4", "bach_size"),
        ("batch_size=0", "batch_size"),
        ("batch_size", "key=value"),
        ("losses={}", "at least one loss"),
        ("losses={loss_magic: 1}", "loss_magic"),
        ("losses={loss_pose: .nan}", "losses"),
        ("backbone=mobilenet_v3", "mobilenet_v2"),
        ("batch_size=1", "batch_size"),
        ("steps=[", "not valid YAML"),
        ("optimizer.name=lion", "optimizer.name"),
        ("epochs=3", "either steps or epochs"),
        ("steps=null", "either steps or epochs"),
    ],
)
def test_bad_settings_are_named(recipe: Path, override: str, message: str) -> None:
    with pytest.raises(SynergyNetError, match=message):
        load_config(recipe, [override])


def test_shipped_recipes_are_valid() -> None:
    files = sorted((REPO / "configs").glob("*/*.yaml"))
    assert len(files) >= 3
    for file in files:
        assert load_config(file).losses


@pytest.mark.slow
def test_exported_onnx_answers_like_torch(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="export needs onnxscript")
    run = tmp_path / "run"
    Trainer(load_config(recipe, [f"output={run}", "steps=2"])).run()
    tiny, target = recipe.parent / "tiny.npz", tmp_path / "net.onnx"
    command = ("export", run / "best.safetensors", "-o", target, "--face-model", tiny, "--half")
    assert helpers.run(*command).returncode == 0

    from synergynet.regression import load_regressor

    crops = np.random.default_rng(0).integers(0, 255, (3, 120, 120, 3), dtype=np.uint8)
    onnx = load_regressor(target, threads=1)
    own = load_regressor(run / "best.safetensors")
    assert onnx.info.face_model == "tiny"
    scale = onnx.info.whitening.std
    np.testing.assert_allclose(onnx.predict(crops) / scale, own.predict(crops) / scale, atol=0.05)
