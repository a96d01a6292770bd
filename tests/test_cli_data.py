"""`synergynet data prepare`: whole folders, damaged files, resuming, and training on the result."""

from __future__ import annotations

import glob
import importlib
import os
import pickle
import pickletools
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import helpers
import numpy as np
import pytest
from helpers import abandoned_folder
from small_models import write_official

pytest.importorskip("scipy.io", reason="the test files are written with SciPy")

from fake_photos import write_photo

from synergynet.datasets.pack import pack_shards
from synergynet.datasets.prepare import prepare
from synergynet.datasets.readers import READERS, crop_list
from synergynet.datasets.readers.list_folder import open_list
from synergynet.datasets.readers.mat_photos import benchmark_box, photo1_to_crop1, read_mat
from synergynet.errors import SynergyNetError
from synergynet.evaluation import EVALUATION_SETS, evaluation_set
from synergynet.face_model.official import load_official
from synergynet.face_model.open_head import load_open_head

N = 70


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "synergynet", "data", "prepare", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return helpers.run("data", "prepare", *arguments)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "prepare.json"
    }


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, tiny_model) -> Path:
    return write_official(tiny_model, tmp_path_factory.mktemp("model") / "3dmm_data")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300W-LP's layout: collections, their mirror images, and two folders without photos."""
    root = tmp_path_factory.mktemp("300W_LP")
    for i in range(N):
        write_photo(root / ("AFW" if i % 2 else "AFW_Flip"), f"AFW_{i // 2 + 40:02d}_0", i)
    for name in ("landmarks/AFW", "Code"):
        (root / name).mkdir(parents=True)
        (root / name / "AFW_40_0_pts.mat").write_bytes(b"other labels")
    return root


@pytest.fixture(scope="module")
def prepared(photos: Path, official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the command with two processes, labels of the Basel-like model."""
    output = tmp_path_factory.mktemp("out") / "bfm"
    arguments = (photos, "--from", "300w-lp", "-o", output, "--face-model", official)
    result = helpers.run_process("data", "prepare", *arguments, "--workers", 2)
    assert result.returncode == 0, result.stderr
    assert f"{N}/{N}" in result.stdout and f"{N} crops" in result.stdout
    assert not result.stderr
    return output


@pytest.mark.slow
def test_list_labels_and_crops_belong_together(prepared: Path, photos: Path, official) -> None:
    names = crop_list.read_list(prepared / "train.list")
    assert names == sorted(names) and len(names) == N
    assert {name.split("/")[0] for name in names} == {"AFW", "AFW_Flip"}
    model, whitening = load_official(official)
    labels = prepared / "param_all_norm.pkl"
    own = crop_list.find_whitening(labels, None)
    np.testing.assert_array_equal(own.mean, whitening.mean)
    decoded = model.decode_landmarks(crop_list.read_params(labels, own, N))
    crops = crop_list.read_crops(prepared / "crops", names)
    for name, points, crop in zip(names, decoded, crops, strict=True):
        mat = read_mat(photos / name.replace(".jpg", ".mat"))
        box = benchmark_box(mat.decode(model))
        np.testing.assert_allclose(points, photo1_to_crop1(mat.decode(model), box), atol=0.01)
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        assert (high - low).max() == pytest.approx(84.85, abs=0.5)
        photo = cv2.imread(str(photos / name))
        x, y = (int(v + 0.5 * box.side + 0.5) for v in (box.left, box.top))
        if 0 <= x < 450 and 0 <= y < 450:  # the crop's centre is the box's centre
            assert np.abs(crop[59:61, 59:61].mean((0, 1)) - photo[y, x]).max() < 16


@pytest.mark.slow
def test_pickles_are_plain_and_old_numpy_can_read_them(prepared: Path) -> None:
    for name in ("param_all_norm.pkl", "param_whitening.pkl"):
        data = (prepared / name).read_bytes()
        opcodes = list(pickletools.genops(data))
        assert opcodes[0][1] == 3  # the protocol
        modules = {arg.split()[0] for op, arg, _ in opcodes if op.name == "GLOBAL"}
        assert modules <= {"numpy", "numpy.core.multiarray"}
    labels = pickle.loads((prepared / "param_all_norm.pkl").read_bytes())
    assert labels.dtype == np.float32 and labels.shape == (N, 62)


@pytest.mark.slow
def test_a_second_run_keeps_what_is_finished(
    prepared: Path, photos: Path, official: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(prepared, output)
    crops = sorted((output / "crops").rglob("*.jpg"))
    gone, outdated, kept = crops[0], crops[1], crops[2:]
    gone.unlink()
    os.utime(outdated, (1, 1))
    before = {path: path.stat().st_mtime_ns for path in kept}
    (abandoned_folder(output / "crops") / "half.jpg").write_bytes(b"half")
    model, whitening = load_official(official)
    prepare("300w-lp", photos, output, model, (model, whitening))
    assert files_of(output) == files_of(prepared)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert outdated.stat().st_mtime > 1e9


@pytest.mark.slow
def test_killed_and_started_again(
    prepared: Path, photos: Path, official: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    arguments = (photos, "--from", "300w-lp", "-o", output, "--face-model", official)
    with subprocess.Popen(
        command(*arguments, "--workers", 2), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        # glob, unlike rglob, does not mind folders that vanish while it looks.
        crops = f"{output}/**/*.jpg"
        while not glob.glob(crops, recursive=True) and process.poll() is None:  # noqa: PTH207
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        # The pipe closes when the workers, which hold it too, have ended by themselves.
        process.communicate(timeout=30)
    if (output / "train.list").exists():  # the kill came too late
        assert files_of(output) == files_of(prepared)
    for crop in (output / "crops").rglob("*.jpg"):
        if not crop.parent.name.startswith(".partial"):
            assert crop.read_bytes() == (prepared / crop.relative_to(output)).read_bytes()
    assert run(*arguments, "--workers", 1).returncode == 0
    assert files_of(output) == files_of(prepared)


def test_bad_files_are_left_out_and_listed(photos: Path, official: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    good = sorted(photos.rglob("AFW*.jpg"))[:6]
    (root / "AFW").mkdir(parents=True)
    for i, photo in enumerate(good):
        shutil.copy(photo, root / "AFW" / f"{i}.jpg")
        shutil.copy(photo.with_suffix(".mat"), root / "AFW" / f"{i}.mat")
    (root / "AFW" / "alone.jpg").write_bytes(good[0].read_bytes())
    (root / "AFW" / "orphan.mat").write_bytes(b"")
    cv2.imwrite(str(root / "AFW" / "1.jpg"), np.zeros((200, 300, 3), np.uint8))
    (root / "AFW" / "2.jpg").write_bytes(b"no image")
    whole = (root / "AFW" / "3.mat").read_bytes()
    (root / "AFW" / "3.mat").write_bytes(whole[: len(whole) // 2])
    write_photo(root / "AFW", "4", 4, load_official(official)[0])  # AFLW2000-3D among them
    shutil.copy(good[5], root / "AFW" / "5.png")
    output = tmp_path / "out"
    result = run(root, "--from", "300w-lp", "-o", output, "--face-model", official)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    for name, why in {
        "alone.jpg": "no alone.mat",
        "orphan.mat": "no photo",
        "1.jpg": "300x200",
        "2.jpg": "not a readable image",
        "3.mat": "not a readable .mat",
        "4.mat": "of aflw2000, not of 300w-lp",
        "5.png": "the same name",
    }.items():
        assert [line for line in lines if line.startswith("error: ") and name in line], lines
        assert why in next(line for line in lines if name in line)
    assert lines[-1] == "error: 7 files were left out" and len(lines) == 8
    assert crop_list.read_list(output / "train.list") == ["AFW/0.jpg", "AFW/5.jpg"]
    assert len((output / "bad.txt").read_text().splitlines()) == 7


@pytest.mark.parametrize("field", ["Pose_Para", "Shape_Para", "pt3d_68"])
def test_wild_numbers_are_bad_files(tmp_path: Path, tiny_model, field: str) -> None:
    from fake_photos import make_fields
    from scipy.io import savemat

    root = tmp_path / "photos"
    write_photo(root, "good", 0, tiny_model)
    write_photo(root, "wild", 1, tiny_model)
    fields = make_fields(1, tiny_model)
    fields[field] = np.asarray(fields[field], np.float64) * 1e40
    savemat(root / "wild.mat", fields)
    bfm = (tiny_model, crop_list.label_whitening(np.random.default_rng(0).normal(size=(9, 62))))
    result = prepare("aflw2000", root, tmp_path / "out", tiny_model, bfm)
    assert result.count == 1 and "wild.mat" in result.bad[0]


@pytest.mark.slow
def test_mistakes_are_one_sentence(photos: Path, prepared: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ((photos, "--from", "300w-lp", "-o", tmp_path / "a"), "--bfm"),
        ((tmp_path / "absent", "--from", "aflw2000", "-o", tmp_path / "a"), "no such folder"),
        ((tmp_path, "--from", "aflw2000", "-o", tmp_path / "a"), "no photo with a .mat"),
        ((photos, "--from", "aflw2000", "-o", prepared), "give another output folder"),
        ((photos, "--from", "aflw2000", "-o", photos), "not an empty folder"),
        ((photos, "--from", "aflw2000", "-o", tmp_path / "b"), "none of 70 photos"),
    ):
        result = run(*arguments)
        assert result.returncode == 1, arguments
        assert result.stderr.startswith("error: ") and message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_open_head_labels_are_trained_on_as_they_are(
    photos: Path, official: Path, tmp_path: Path
) -> None:
    """And evaluation data is refused."""
    pytest.importorskip("torch", reason="training needs torch")
    from synergynet.training.config import TrainConfig
    from synergynet.training.crops import load_training_data

    basel, target = load_official(official), load_open_head()
    with pytest.MonkeyPatch.context() as patch:  # random shapes are no faces
        patch.setattr("synergynet.datasets.prepare.WORST_FIT", 1.0)
        prepare("300w-lp", photos, tmp_path / "out", target, basel)
    data = {
        "crops": tmp_path / "out" / "crops",
        "list": tmp_path / "out" / "train.list",
        "params": tmp_path / "out" / "param_all_norm.pkl",
        "face_model": "open-head",
    }
    config = TrainConfig.model_validate(
        {"data": data, "losses": {"loss_landmarks": 1.0}, "steps": 1}
    )
    train, held_back = load_training_data(config, target)
    assert len(train) + len(held_back) == N
    whitening = crop_list.find_whitening(data["params"], None)
    raw = crop_list.read_params(data["params"], whitening, N)
    rows = [crop_list.read_list(data["list"]).index(name) for name in train.names]
    np.testing.assert_allclose(train.params, raw[rows], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(train.landmarks[..., 2].mean(axis=1), 0, atol=0.5)
    np.testing.assert_allclose(
        train.landmarks, target.decode_landmarks(train.params), rtol=0, atol=0.01
    )
    (tmp_path / "out" / crop_list.EVALUATION_ONLY_NAME).touch()
    with pytest.raises(SynergyNetError, match="must not be trained on"):
        load_training_data(config, target)


@pytest.mark.slow
def test_lists_and_shards_are_prepared_again(
    prepared: Path, official: Path, tmp_path: Path
) -> None:
    """Labels of their own model as they stand, those of another fitted to their landmarks."""
    labelled, model = open_list(prepared, str(official))
    whitening = load_official(official)[1]
    pack_shards(
        prepared / "crops", labelled.names, labelled.params, model, [tmp_path / "s"], shard_size=9
    )
    stored = crop_list.read_crops(prepared / "crops", labelled.names).astype(int)
    for source, folder in (("list", prepared), ("shards", tmp_path / "s")):
        out = tmp_path / source
        again = prepare(source, folder, out, model, (model, whitening), workers=2)
        assert again.count == N and not again.bad
        found, _ = open_list(out, str(official))
        assert found.names == labelled.names
        np.testing.assert_allclose(found.params, labelled.params, rtol=1e-5, atol=1e-5)
        crops = crop_list.read_crops(out / "crops", found.names)
        assert np.abs(crops - stored).mean() < 3  # JPEG twice
    target = replace(model, name="other", mean=model.mean * 1.1)
    prepare("list", prepared, tmp_path / "other", target, (model, whitening))
    fitted, _ = open_list(tmp_path / "other", str(official))
    error = target.decode_landmarks(fitted.params) - model.decode_landmarks(labelled.params)
    assert fitted.names == labelled.names
    assert np.linalg.norm(error[..., :2], axis=-1).mean() < 4  # pixels; shapes are random
    with pytest.raises(SynergyNetError, match=r"of face model '.*', not of 'other'"):
        prepare("shards", tmp_path / "s", tmp_path / "none", target, None)


def test_every_reader_and_every_benchmark_is_where_its_registry_says() -> None:
    for module, about in READERS.values():
        found = importlib.import_module(f"synergynet.datasets.readers.{module}")
        assert callable(found.open_folder) and about
    for name in EVALUATION_SETS:
        protocol = evaluation_set(name)
        assert callable(protocol.load) and callable(protocol.measure)


def test_group_help_names_its_commands() -> None:
    for arguments in ((), ("data",), ("data", "prepare")):
        result = helpers.run(*arguments, "--help")
        assert result.returncode == 0
        assert ("--from" if arguments[1:] else "prepare" if arguments else "data") in result.stdout


@pytest.mark.slow
def test_real_photos(shared_data: Path, tmp_path: Path) -> None:
    """Crops like the benchmark's own; Open Head fits the truth without a bias."""
    originals = shared_data / "aflw2000_originals"
    if not originals.is_dir():
        pytest.skip(f"{originals} is not here: it holds photos of AFLW2000-3D with their .mat")
    target = load_open_head()
    result = prepare("aflw2000", originals, tmp_path / "out", target, None)
    assert result.count == 300 and not result.bad
    assert (tmp_path / "out" / crop_list.EVALUATION_ONLY_NAME).is_file()
    assert result.list_file.name == "test.list"
    names = crop_list.read_list(result.list_file)
    ours = crop_list.read_crops(tmp_path / "out" / "crops", names).astype(int)
    theirs = crop_list.read_crops(shared_data / "aflw2000_data" / "AFLW2000-3D_crop", names)
    difference = np.abs(ours - theirs).mean(axis=(1, 2, 3))
    assert difference.mean() < 1.5 and difference.max() < 4
    shifted = np.abs(ours[:, :, 1:] - theirs[:, :, :-1]).mean()
    assert shifted > 4 * difference.mean()
    labels = tmp_path / "out" / "param_all_norm.pkl"
    raw = crop_list.read_params(labels, crop_list.find_whitening(labels, None), 300)
    mats = [read_mat(originals / name.replace(".jpg", ".mat")) for name in names]
    truth = np.stack([photo1_to_crop1(m.landmarks(), benchmark_box(m.landmarks())) for m in mats])
    error = (target.decode_landmarks(raw) - truth)[..., :2]
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.01
    assert np.linalg.norm(error, axis=-1).mean() < 1.0  # crop pixels
