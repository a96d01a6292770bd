"""The official toolkit's commands as its documents write them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from base_install import EXTRAS, base_environment
from helpers import REPO
from small_models import FakeRegressor, SmallBenchmark

from synergynet.cli.sections import read_sections
from synergynet.cli.toolkit import run_aflw2000, translate
from synergynet.cli.train import train
from synergynet.errors import SynergyNetError
from synergynet.face_model.model import FaceModel
from synergynet.training.config import load_config

CONFIG = Path("configs/synergy_net/synergynet.yaml")
EVAL = "python tools/facereconstruction/eval.py -opt ./configs/synergy_net/synergynet.yaml"
TRAIN = "python tools/facereconstruction/train.py -opt ./configs/synergy_net/synergynet.yaml"
INFER = "python tools/facereconstruction/infer.py -opt ./configs/synergy_net/synergynet.yaml"
EXPORT = "python tools/facereconstruction/export.py -opt ./configs/synergy_net/synergynet.yaml"
AFLW2000 = "python synergynet_aflw2000_eval.py  --root ./aflw2000_data"
SLICE = 40


def run(
    command: str, folder: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *command.split()[1:]]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=240, env=env)


def succeed(command: str, folder: Path, env: dict[str, str] | None = None) -> str:
    done = run(command, folder, env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a user's clone holds, and nothing of data."""
    for name in ("tools", "examples", "configs", "weights", "synergynet_aflw2000_eval.py"):
        (tmp_path / name).symlink_to(REPO / name)
    return tmp_path


def test_published_lines_and_no_others(
    small: SmallBenchmark,
    tiny_model: FaceModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    import synergynet.regression

    monkeypatch.chdir(tmp_path)
    asked = []
    fake = FakeRegressor(small.raw, tiny_model)
    fake.face_model = tiny_model
    monkeypatch.setattr(synergynet.regression, "load_regressor", lambda w: asked.append(w) or fake)
    run_aflw2000(["--root", str(small.root)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Facial Alignment on AFLW2000-3D(NME):"
    assert [line[:9] for line in lines[1:5]] == [
        f"{label} " for label in ("[ 0, 30]", "[30, 60]", "[60, 90]", "[ 0, 90]")
    ]
    assert lines[5] == "Face orientation estimation:"
    assert lines[6].startswith("Mean MAE = ") and len(lines) == 7
    # The original's other arguments; a checkpoint at its old place is taken.
    Path("synergynet.ckpt").touch()
    crops = small.root / "AFLW2000-3D_crop"
    names = tmp_path / "names.list"
    names.write_bytes((small.root / "AFLW2000-3D_crop.list").read_bytes())
    run_aflw2000(["--root", str(crops), "--batch_size", "2", "--filelists", str(names)])
    assert capsys.readouterr().out.splitlines() == lines
    assert fake.seen[-6:] == [2] * 6
    run_aflw2000(["--root", str(crops), "--checkpoint_fp", "other.ckpt"])
    assert asked == [None, "synergynet.ckpt", "other.ckpt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--root", "nowhere"], "nowhere: no such folder"),
        (["--root", "{data}", "--filelists", "no.list"], "no.list: no such file"),
        (["--root", "{data}", "--checkpoint_fp", "no.ckpt"], "no.ckpt"),
        (["--root", "{data}", "--batch_size", "0"], "batch size 0"),
    ],
)
def test_aflw2000_errors(
    arguments: list[str], words: str, small: SmallBenchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_aflw2000([word.format(data=small.root) for word in arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 1
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error


def test_settings_become_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = REPO / CONFIG
    monkeypatch.chdir(tmp_path)
    assert translate("train", config, ["epochs=1"], REPO) == ["train", str(config), "epochs=1"]
    found = translate("eval", config, ["eval.mirror=true"], REPO)
    assert found == ["eval", "--root", "aflw2000_data", "--batch-size", "128", "--mirror"]
    found = translate("infer", config, ["infer.draw=[]", "infer.mesh=[ply, glb]"], REPO)
    assert found[:6] == ["infer", "--output", "output", "--draw", "none", "--mesh"]
    assert found[6:] == ["ply,glb", "--", "examples/astronaut.jpg"]
    found = translate("export", config, ["export.format=onnx", "export.output=a/b.onnx"], REPO)
    shipped = str(REPO / "weights/efficientnet_lite0.safetensors")
    assert found == ["export", shipped, "--output", "a/b.onnx", "--format", "onnx"]
    assert (tmp_path / "a").is_dir()
    # Once this file's training has been run, its best network is meant, with its face model.
    (tmp_path / "runs/synergynet").mkdir(parents=True)
    (tmp_path / "runs/synergynet/best.safetensors").touch()
    own = ["--weights", "runs/synergynet/best.safetensors", "--face-model", "data/3dmm_data"]
    assert translate("eval", config, [], REPO)[-4:] == own
    assert translate("export", config, [], REPO)[1] == own[1]
    assert "--face-model" not in translate("eval", config, ["eval.weights=x.onnx"], REPO)


def test_bad_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for override, words in {
        "eval.rot=x": "unknown key 'eval.rot'; did you mean 'root'",
        "bach_size=3": "unknown key 'bach_size'; did you mean 'batch_size'",
        "optimizer.lr=1": "unknown key 'optimizer.lr'; there are name, learning_rate",
        "data.extra=[{share: 0.1, lst: x}]": "unknown key 'data.extra.lst'; did you mean 'list'",
        "infer.photos=[]": "infer.photos is empty",
    }.items():
        with pytest.raises(SynergyNetError, match=words.replace("[", r"\[")):
            translate("infer", REPO / CONFIG, [override], REPO)
    with pytest.raises(SynergyNetError, match=r"unknown key 'eval\.rot'"):
        train(REPO / CONFIG, ["eval.rot=x"])
    with pytest.raises(SynergyNetError, match=r"mindspore needs a \.ckpt"):
        translate("eval", REPO / CONFIG, ["backend=mindspore"], REPO)


def test_sections_do_not_change_what_a_run_is() -> None:
    a = load_config(REPO / CONFIG)
    b = load_config(REPO / CONFIG, ["eval.root=elsewhere", "infer.draw=[]"])
    assert a != b and a.model_dump() == b.model_dump()
    assert read_sections(b, CONFIG).eval.root == Path("elsewhere")


@pytest.mark.slow
def test_commands_without_data(clone: Path) -> None:
    assert "astronaut_mesh.jpg" in succeed(INFER, clone)
    picture = cv2.imread(str(clone / "output/astronaut_landmarks.jpg"))
    assert picture.shape == (512, 512, 3)
    for command, words in ((EVAL, "aflw2000_data"), (TRAIN, "data/3dmm_data")):
        done = run(command, clone)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert words in done.stderr
    done = run(EVAL.replace("synergynet.yaml", "other.yaml"), clone)
    assert done.returncode == 1 and "other.yaml: no such recipe" in done.stderr


@pytest.mark.slow
def test_base_install_runs_the_shipped_network(
    clone: Path, small: SmallBenchmark, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`pip install .` alone: eval and infer work; train and export name what is missing."""
    env = base_environment(tmp_path_factory.mktemp("hook"))
    look = f"import importlib.util as u; print(*[u.find_spec(name) for name in {EXTRAS}])"
    done = subprocess.run([sys.executable, "-c", look], env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["None"] * len(EXTRAS)

    assert "astronaut_mesh.jpg" in succeed(INFER, clone, env)
    assert (clone / "output/astronaut_face0.obj").is_file()
    measure = f"{EVAL} eval.root={small.root}"
    lines = succeed(measure, clone, env).splitlines()
    assert lines[0] == "Facial Alignment on AFLW2000-3D(NME):"
    train = f"python -m synergynet train {CONFIG}"
    cure = 'pip install "synergynet[train]"'
    for command, words in {
        TRAIN: cure,
        EXPORT: cure,
        train: cure,
        f"{train} --pack-state small.safetensors": cure,
        f"{train} backend=mindspore": "docs/mindspore.md",
        f"{measure} eval.weights=weights/efficientnet_lite0.safetensors": cure,
    }.items():
        done = run(command, clone, env)
        assert done.returncode == 1 and done.stdout == "", done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        assert words in done.stderr


@pytest.mark.slow
def test_export_as_written(clone: Path) -> None:
    pytest.importorskip("onnxscript")
    succeed(EXPORT, clone)
    assert (clone / "output/synergynet.onnx").stat().st_size > 10e6


@pytest.mark.slow
def test_every_command_as_written_on_real_data(clone: Path, shared_data: Path) -> None:
    """One epoch over a slice, then the trained network measured, used and exported."""
    pytest.importorskip("onnxscript")
    (clone / "aflw2000_data").symlink_to(shared_data / "aflw2000_data")
    published = succeed(AFLW2000, clone).splitlines()
    assert published[0] == "Facial Alignment on AFLW2000-3D(NME):" and len(published) == 7
    assert succeed(EVAL, clone).splitlines()[:7] == published

    source, target = shared_data / "aflw_train", clone / "data" / "3dmm_data"
    target.mkdir(parents=True)
    (clone / "data/train_aug_120x120").symlink_to(source / "crops")
    for file in (shared_data / "3dmm_data").iterdir():
        (target / file.name).symlink_to(file)
    names = (source / "train.list").read_text().split()[:SLICE]
    (target / "train_aug_120x120.list.train").write_text("\n".join(names))
    labels = np.asarray(pickle.loads((source / "param_all_norm.pkl").read_bytes()))[:SLICE]
    (target / "param_all_norm_v201.pkl").write_bytes(pickle.dumps(labels))
    # The only change to the file: one epoch, of a batch that the slice can fill.
    settings = yaml.safe_load((REPO / CONFIG).read_text())
    (clone / "configs").unlink()
    (clone / CONFIG).parent.mkdir(parents=True)
    (clone / CONFIG).write_text(yaml.safe_dump(settings | {"epochs": 1, "batch_size": 8}))
    assert "best weights in runs/synergynet/best.safetensors" in succeed(TRAIN, clone)
    assert "runs/synergynet/best.safetensors" in succeed(EVAL, clone)
    succeed(EXPORT, clone)
    assert (clone / "output/synergynet.onnx").is_file()
