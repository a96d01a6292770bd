"""What the training loop is put together from: schedule, memory, precision, logs, state."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers import REPO
from training_recipe import write_recipe

pytest.importorskip("torch", reason="training needs torch")

import torch

from synergynet.errors import SynergyNetError
from synergynet.face_model.model import FaceModel
from synergynet.geometry.params import Whitening
from synergynet.nets.torch.backbones import build_backbone
from synergynet.nets.torch.synergynet import SynergyNet
from synergynet.training.config import TrainConfig, load_config
from synergynet.training.logs import PHASES, PhaseClock, RunLog
from synergynet.training.run import Trainer
from synergynet.training.schedule import Schedule
from synergynet.training.torch.network import MovingAverage, train_mode
from synergynet.training.torch.precision import autocast_network, slow_precision
from synergynet.weights.tensors import read_safetensors_weights

OFFICIAL = REPO / "configs" / "synergy_net" / "synergynet.yaml"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_model: FaceModel) -> Path:
    file = write_recipe(tmp_path_factory.mktemp("train"), tiny_model)
    settings = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(settings | {"backbone": "mobilenet_025"}))
    return file


def run(recipe: Path, output: Path, *settings: str) -> Trainer:
    trainer = Trainer(load_config(recipe, [f"output={output}", *settings]))
    trainer.run()
    return trainer


def numbers(output: Path, name: str) -> list[float]:
    """Values of ``name`` in the log, by step."""
    with (output / "log.csv").open() as stream:
        return [float(row["value"]) for row in csv.DictReader(stream) if row["name"] == name]


def test_official_schedule_is_the_published_one() -> None:
    """0.016 in epochs 1-5, 0.08 to 48, 0.016 to 64, 0.0032 to 80; a part batch is dropped."""
    schedule = Schedule(load_config(OFFICIAL), crops=3 * 1024 + 1000)
    assert schedule.steps == 80 * 3
    by_epoch = [[schedule.learning_rate(3 * e + s) for s in range(3)] for e in range(80)]
    expected = [0.016] * 5 + [0.08] * 43 + [0.016] * 16 + [0.0032] * 16
    np.testing.assert_allclose(by_epoch, np.repeat(expected, 3).reshape(80, 3), rtol=1e-12)
    with pytest.raises(SynergyNetError, match="batch_size 1024 is more than the 1000 crops"):
        Schedule(load_config(OFFICIAL), crops=1000)


def test_official_recipe_augments_as_published() -> None:
    from synergynet.datasets.augmentation import AugmentationConfig
    from synergynet.nets.loss_terms import OFFICIAL_WEIGHTS

    config = load_config(OFFICIAL)
    assert config.augmentation == AugmentationConfig.official()
    assert config.losses == dict(OFFICIAL_WEIGHTS)


def test_linear_warmup_and_cosine(recipe: Path) -> None:
    config = load_config(recipe, ["steps=10", "optimizer.learning_rate=1"])
    schedule = Schedule(config, crops=50)
    assert [schedule.learning_rate(s) for s in (0, 1, 2, 6)] == [0.5, 1, 1, 0.5]


@pytest.mark.slow
def test_freed_memory_stays_in_the_process() -> None:
    """Filling 64 MB again faults in no new pages once malloc keeps what was freed."""
    if not sys.platform.startswith("linux"):
        pytest.skip("glibc only")
    code = """
import resource, torch
from synergynet.training.torch.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
before, kept = faults(), keep_freed_memory()
print(kept, before, min(faults() for _ in range(10)))  # the heap grows for a few rounds first
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    kept, before, after = done.stdout.split()
    if kept == "False":
        pytest.skip("no mallopt in this libc")
    assert int(before) >= 4 * 32  # at least a fault for every 2 MB page
    assert int(after) < int(before) / 8


@pytest.mark.slow
def test_frozen_batch_norm_keeps_its_statistics(recipe: Path, tmp_path: Path) -> None:
    trainer = Trainer(load_config(recipe, [f"output={tmp_path}", "freeze_batch_norm=true"]))
    before = {k: v.clone() for k, v in trainer.backend.net.state_dict().items()}
    trainer.run()
    after = trainer.backend.net.state_dict()
    statistics = [k for k in after if k.endswith(("running_mean", "running_var"))]
    assert statistics and all(torch.equal(after[k], before[k]) for k in statistics)
    assert any(not torch.equal(after[k], before[k]) for k in after)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_frozen_parts_stay_as_they_are(recipe: Path, tmp_path: Path, precision: str) -> None:
    """Weights and statistics, while the network answers as an unfrozen one does."""
    settings = [f"output={tmp_path}", "backbone=mobilenet_v2", "freeze=3", "steps=2"]
    settings.append(f"precision={precision}")
    trainer = Trainer(load_config(recipe, settings))
    before = {k: v.clone() for k, v in trainer.backend.net.state_dict().items()}
    images = torch.randn(2, 3, 120, 120)
    plain = trainer.backend.averaged()
    answers = [net.eval()(images) for net in (trainer.backend.net, plain)]
    error = (answers[0] - answers[1]).abs().max() / answers[1].abs().max()
    assert error < (1e-4 if precision == "fp32" else 0.1)
    trainer.run()
    after = trainer.backend.net.state_dict()
    frozen = [k for k in after if re.match(r"I2P\.backbone\.features\.[012]\.", k)]
    assert len(frozen) > 20 and all(torch.equal(after[k], before[k]) for k in frozen)
    moved = [k for k in after if not torch.equal(after[k], before[k])]
    assert "I2P.backbone.features.3.conv.0.0.weight" in moved
    with pytest.raises(SynergyNetError, match="freeze: 20 parts, but mobilenet_v2 has 19"):
        Trainer(load_config(recipe, [*settings[:2], "freeze=20"]))


@pytest.mark.slow
def test_accumulated_parts_make_the_same_step(recipe: Path, tmp_path: Path) -> None:
    """Without batch norm, which sees each part alone, two halves are one batch."""
    settings = ["freeze_batch_norm=true", "optimizer.name=sgd", "log_every=1", "steps=4"]
    whole = run(recipe, tmp_path / "whole", *settings)
    parts = run(recipe, tmp_path / "parts", *settings, "accumulate=2")
    for name in ("loss_total", "loss_pose"):
        losses = [numbers(trainer.output, name) for trainer in (whole, parts)]
        assert len(losses[0]) == 4 and losses[0][0] != losses[0][-1]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for key, value in whole.backend.net.state_dict().items():
        torch.testing.assert_close(parts.backend.net.state_dict()[key], value, rtol=1e-4, atol=1e-6)


def test_moving_average_by_hand() -> None:
    net = torch.nn.BatchNorm1d(1)
    average = MovingAverage(net, decay=0.9)
    with torch.no_grad():
        net.weight.fill_(3.0)
    net.num_batches_tracked.fill_(7)
    average.update(step=0)  # decay min(0.9, 1/10)
    assert average.values["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 3)
    average.update(step=1000)
    assert average.values["weight"].item() == pytest.approx(0.9 * 2.8 + 0.1 * 3)
    assert average.values["num_batches_tracked"].item() == 7


def test_bf16_between_pixels_and_answers(tiny_model: FaceModel) -> None:
    torch.manual_seed(0)
    whitening = Whitening(np.zeros(62, np.float32), np.ones(62, np.float32))
    net = SynergyNet(build_backbone("mobilenet_025"), tiny_model, whitening)
    train_mode(net, freeze_batch_norm=True)
    images = torch.randn(2, 3, 120, 120)
    plain = net.training_losses(images, torch.randn(2, 62))
    inside: dict[str, torch.dtype] = {}
    layers = {
        name: module
        for name, module in net.backbone.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    for name, module in layers.items():

        def note(_m: object, _i: object, out: torch.Tensor, name: str = name) -> None:
            inside[name] = out.dtype

        module.register_forward_hook(note)
    torch.manual_seed(0)
    autocast_network(net, "bf16", torch.device("cpu"))
    half = net.training_losses(images, torch.randn(2, 62))
    for name, dtype in inside.items():
        module = layers[name]
        strided = getattr(module, "groups", 1) > 1 and module.stride != (1, 1)
        exact = strided or isinstance(module, torch.nn.Linear)
        assert dtype == (torch.float32 if exact else torch.bfloat16), name
    assert set(inside.values()) == {torch.float32, torch.bfloat16}
    assert all(value.dtype == torch.float32 for value in half.values())
    assert half.keys() == plain.keys()
    torch.stack(list(half.values())).sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in net.parameters() if p.grad is not None)


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [True, False])
def test_the_network_has_the_regularisers_that_losses_need(
    recipe: Path, tmp_path: Path, wanted: bool
) -> None:
    """What no loss moves would stay, and be shipped, as the numbers that it began with."""
    settings = [f"output={tmp_path / 'a'}", "steps=2", "validate_every=2"]
    settings += [] if wanted else ["losses={loss_pose: 1.0}"]
    config = load_config(recipe, settings)
    Trainer(config).run()
    weights = read_safetensors_weights(config.best_file)
    assert weights.regularisers is wanted
    onward = [f"output={tmp_path / 'b'}", "steps=2", f"initial={config.best_file}"]
    # To go on without them is possible from both, with them from one that has them.
    free = load_config(recipe, [*onward, "losses={loss_pose: 1.0}"])
    Trainer(free).run()
    assert not read_safetensors_weights(free.best_file).regularisers
    if not wanted:
        with pytest.raises(SynergyNetError, match="holds no MAFA"):
            Trainer(load_config(recipe, onward)).run()


def test_bf16_trains(recipe: Path, tmp_path: Path) -> None:
    trainer = run(recipe, tmp_path, "precision=bf16", "steps=2")
    assert np.isfinite(numbers(tmp_path, "loss_total")).all() and trainer.step == 2


def test_bf16_is_advised_against_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for able in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda able=able: able)
        assert (slow_precision("bf16", cpu) is None) == able
        assert slow_precision("fp32", cpu) is None
        assert slow_precision("bf16", torch.device("cuda")) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["precision=fp16", "device=cpu"], "fp16 trains on a CUDA GPU only"),
        (["accumulate=3"], "does not divide"),
        (["accumulate=4"], "batch norm needs two"),
        (["batch_size=100"], "more than the"),
    ],
)
def test_impossible_runs_are_refused(
    recipe: Path, tmp_path: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(SynergyNetError, match=message):
        Trainer(load_config(recipe, [f"output={tmp_path}", *settings]))


def test_cuda_is_asked_for_in_vain(recipe: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(SynergyNetError, match="no CUDA GPU"):
        Trainer(load_config(recipe, [f"output={tmp_path}", "device=cuda"]))


def test_phases_add_up_to_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("synergynet.training.logs.time.perf_counter", lambda: now[0])
    clock = PhaseClock()
    for _ in range(2):
        for phase, seconds in zip(PHASES, (1, 2, 3, 4, 10), strict=True):
            now[0] += seconds
            clock.lap(phase)
        clock.end_step()
        now[0] += 100  # validation, no part of a step
        clock.skip()
    read = clock.read(crops_per_step=40)
    assert read["crops_per_second"] == pytest.approx(2)
    assert read["data_wait"] == pytest.approx(0.05)
    assert [read[f"ms_{phase}"] for phase in PHASES] == [1000, 2000, 3000, 4000, 10000]


def test_log_forgets_steps_after_the_last_save(recipe: Path, tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0, tensorboard=False)
    for step in (2, 4, 6):
        log.write(step, "train", {"loss_total": step / 2})
    path = tmp_path / "log.csv"
    path.write_text(path.read_text() + "8,tra")  # killed while writing
    RunLog(tmp_path, 4, tensorboard=False).write(6, "train", {"loss_total": 9})
    assert numbers(tmp_path, "loss_total") == [1, 2, 9]


@pytest.mark.slow
def test_log_tells_where_the_time_goes(recipe: Path, tmp_path: Path) -> None:
    run(recipe, tmp_path, "steps=2")
    phases = [numbers(tmp_path, f"ms_{phase}")[0] for phase in PHASES]
    assert min(phases) >= 0 and phases[2] > 0 and phases[3] > 0
    assert numbers(tmp_path, "crops_per_second")[0] == pytest.approx(4000 / sum(phases), rel=1e-3)


@pytest.mark.slow
def test_tensorboard_reads_the_events(recipe: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(SynergyNetError, match="pip install tensorboard"):
            Trainer(load_config(recipe, [f"output={tmp_path}", "tensorboard=true"]))
        pytest.skip("tensorboard is not installed: only its absence was tried")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(recipe, tmp_path, "tensorboard=true", "steps=4")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = events.Scalars("train/loss_total")
    assert [event.step for event in losses] == [2, 4]
    written = [event.value for event in losses]
    np.testing.assert_allclose(written, numbers(tmp_path, "loss_total"), rtol=1e-4)
    assert "validation/nme" in events.Tags()["scalars"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_compact_state_goes_on(recipe: Path, tmp_path: Path, optimizer: str) -> None:
    settings = ["steps=6", f"optimizer.name={optimizer}", "schedule.warmup_steps=0"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    first = run(recipe, whole, *settings, "validate_every=100")
    state = stopped / "last.safetensors"

    class Stop(Exception):
        pass

    def stop(step: int, _total: int, _numbers: dict[str, float]) -> None:
        if step == 4:
            raise Stop

    config = load_config(recipe, [f"output={stopped}", *settings])
    with pytest.raises(Stop):
        Trainer(config, stop).run()
    full = state.stat().st_size
    command = [sys.executable, "-m", "synergynet", "train", str(recipe), f"output={stopped}"]
    packed = tmp_path / "packed.safetensors"
    subprocess.run([*command, "--pack-state", str(packed)], check=True)
    assert packed.stat().st_size < {"adamw": 0.52, "sgd": 0.6}[optimizer] * full
    exact = Trainer(config)
    packed.replace(state)
    second = Trainer(config)
    assert second.step == exact.step == 3
    for key, value in exact.backend.net.state_dict().items():
        torch.testing.assert_close(
            second.backend.net.state_dict()[key], value, rtol=6e-4, atol=1e-6
        )
    for key, value in exact.backend.average.values.items():
        torch.testing.assert_close(second.backend.average.values[key], value, rtol=6e-4, atol=1e-5)
    slots = zip(
        exact.backend.optimizer.state.values(), second.backend.optimizer.state.values(), strict=True
    )
    for one, other in slots:
        for name, value in one.items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(
                    other[name], value, rtol=0.07, atol=float(value.abs().max()) * 1e-4
                )
    second.run()
    for key, value in first.backend.net.state_dict().items():
        if value.ndim > 1:
            error = (second.backend.net.state_dict()[key] - value).norm() / value.norm().clamp_min(
                1e-9
            )
            assert error < 0.01, key
    command[-1] = f"output={tmp_path / 'nothing'}"
    failed = subprocess.run(
        [*command, "--pack-state", str(packed)], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1 and "no training state" in failed.stderr


def test_settings_without_a_length_are_refused() -> None:
    values = load_config(OFFICIAL).model_dump()
    with pytest.raises(ValueError, match="either steps or epochs"):
        TrainConfig.model_validate(values | {"epochs": None})
