"""WebDataset shards: packing, training on them, and damaged ones."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import helpers
import numpy as np
import pytest
from helpers import abandoned_folder
from small_models import random_params, write_official

from synergynet.datasets.pack import pack_shards
from synergynet.datasets.readers import crop_list, shards
from synergynet.datasets.readers.list_folder import write_crop, write_list
from synergynet.datasets.splits import validation_mask
from synergynet.errors import SynergyNetError
from synergynet.face_model.model import FaceModel
from synergynet.face_model.npz import save_npz
from synergynet.face_model.sources import resolve_face_model

N = 70


def crop(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (120, 120), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, tiny_model) -> Path:
    """A list folder with labels of ``tiny.npz`` in it; one of the crops is a PNG."""
    folder = tmp_path_factory.mktemp("list")
    names = [f"{'ab'[i % 2]}/face.{i:03d}.jpg" for i in range(N)]
    for i, name in enumerate(names):
        write_crop(folder, name, crop(i))
    png = cv2.imencode(".png", crop(3))[1].tobytes()
    (folder / "crops" / names[3]).write_bytes(png)
    raw = random_params(N, 1, spread=0.3)
    write_list(folder, names, raw, crop_list.label_whitening(raw))
    save_npz(tiny_model, folder / "tiny.npz")
    assert 0 < validation_mask(names).sum() < N / 4
    return folder


@pytest.fixture(scope="module")
def model(source: Path) -> FaceModel:
    return resolve_face_model(source / "tiny.npz")[0]


def read_source(folder: Path) -> tuple[list[str], np.ndarray]:
    names = crop_list.read_list(folder / "train.list")
    labels = folder / "param_all_norm.pkl"
    return names, crop_list.read_params(labels, crop_list.find_whitening(labels, None), len(names))


@pytest.fixture(scope="module")
def packed(source: Path, model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven shards of ten."""
    output = tmp_path_factory.mktemp("shards")
    assert pack_shards(source / "crops", *read_source(source), model, [output], shard_size=10) == 7
    return output


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return helpers.run("data", "pack", *arguments)


def test_any_tar_reader_finds_the_stored_bytes(source: Path, packed: Path, model) -> None:
    names, raw = read_source(source)
    members: list[tuple[str, bytes]] = []
    for shard in range(7):
        with tarfile.open(packed / f"{shard:06d}.tar") as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.uname) == (0, 0, "")
                stream = tar.extractfile(member)
                assert stream is not None
                members.append((member.name, stream.read()))
    assert len(members) == 3 * N
    for i, name in enumerate(names):
        (image, jpeg), (params, numbers), (about, text) = members[3 * i : 3 * i + 3]
        assert image == f"{i:08d}.{'png' if i == 3 else 'jpg'}"
        assert jpeg == (source / "crops" / name).read_bytes()
        assert params == f"{i:08d}.params.npy" and about == f"{i:08d}.json"
        np.testing.assert_array_equal(np.load(io.BytesIO(numbers)), raw[i])
        assert json.loads(text) == {"name": name}
    index = shards.read_index(packed)
    assert index.face_model_hash == model.hash
    assert [entry.count for entry in index.shards] == [10] * 7


def test_webdataset_reads_them(source: Path, packed: Path) -> None:
    wds = pytest.importorskip("webdataset", reason="it is no dependency: pip install webdataset")
    pytest.importorskip("PIL", reason="webdataset decodes with Pillow: pip install pillow")
    urls = [str(path) for path in sorted(packed.glob("*.tar"))]
    samples = list(wds.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    names, raw = read_source(source)
    assert [sample["json"]["name"] for sample in samples] == names
    np.testing.assert_array_equal([sample["params.npy"] for sample in samples], raw)
    expected = crop_list.read_crops(source / "crops", names)[0, ..., ::-1]
    assert np.abs(samples[0]["jpg"].astype(int) - expected).max() <= 3  # another JPEG decoder


@pytest.mark.slow
def test_packing_again_writes_the_same_bytes(source: Path, packed: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = (source, "-o", output, "--face-model", source / "tiny.npz", "--shard-size", 10)
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    assert f"{N} crops with labels of tiny in 7 shard(s)" in result.stdout
    assert files_of(output) == files_of(packed)
    # Killed: a shard is missing, one is of another day, and the index is not there.
    (output / "index.json").unlink()
    (output / "000002.tar").unlink()
    (output / "000009.tar").write_bytes(b"of a longer list")
    abandoned_folder(output)
    with pytest.raises(SynergyNetError, match="wrote to the end"):
        shards.read_shards([output])
    assert run(*arguments).returncode == 0
    assert files_of(output) == files_of(packed)


def settings(source: dict[str, Any], tiny: Path, **data: Any) -> Any:
    from synergynet.training.config import TrainConfig

    group = source | {"face_model": tiny} | data
    losses = {"loss_landmarks": 1.0}
    return TrainConfig.model_validate({"data": group, "losses": losses, "steps": 1})


def from_list(folder: Path) -> dict[str, Path]:
    return {
        "crops": folder / "crops",
        "list": folder / "train.list",
        "params": folder / "param_all_norm.pkl",
    }


def batches_of(config: Any, model: Any) -> list[np.ndarray]:
    """Three batches and the validation part, flat."""
    from synergynet.datasets.augmentation import AugmentationConfig
    from synergynet.training.crops import load_training_data
    from synergynet.training.feed import BatchMaker
    from synergynet.training.validation import validation_crops

    train, held_back = load_training_data(config, model)
    whitening = crop_list.label_whitening(train.params)
    maker = BatchMaker(train, model, whitening, AugmentationConfig(), batch_size=40, seed=5)
    cut = validation_crops(held_back, 0)
    out = [np.array([len(train), len(held_back)]), cut.images, cut.landmarks]
    for batch in maker.stream(0, 3):  # the second reaches over the end of a pass
        out += [batch.images, batch.params, batch.landmarks]
    return out


def assert_same(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("in_memory", ["auto", False])
def test_shards_give_the_batches_of_their_list(
    source: Path, packed: Path, tmp_path: Path, model, in_memory: Any
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    tiny = source / "tiny.npz"
    expected = batches_of(settings(from_list(source), tiny, in_memory=True), model)
    lazy = settings(from_list(source), tiny, in_memory=in_memory)
    assert_same(batches_of(lazy, model), expected)
    one = settings({"shards": str(packed)}, tiny, in_memory=in_memory)
    assert_same(batches_of(one, model), expected)
    halves = [tmp_path / "disk1", tmp_path / "disk2"]
    pack_shards(source / "crops", *read_source(source), model, halves, shard_size=10)
    assert [len(list(half.glob("*.tar"))) for half in halves] == [3, 4]
    two = settings({"shards": halves}, tiny, in_memory=in_memory)
    assert_same(batches_of(two, model), expected)


def test_extra_shards_and_quality_are_as_with_lists(
    source: Path, packed: Path, tmp_path: Path, model
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    tiny, quality = source / "tiny.npz", tmp_path / "labels.npz"
    np.savez(quality, mirror_disagreement_px=np.arange(N) % 9)
    rest = {"quality": quality, "yaw_balance": 0.5}
    extra = {"face_model": tiny, "share": 0.3}
    lists = settings(from_list(source), tiny, extra=[from_list(source) | extra], **rest)
    both = settings({"shards": packed}, tiny, extra=[{"shards": packed} | extra], **rest)
    lazy = settings(
        {"shards": packed}, tiny, extra=[from_list(source) | extra], in_memory=False, **rest
    )
    expected = batches_of(lists, model)
    held_back, kept = validation_mask(read_source(source)[0]), np.arange(N) % 9 < 5
    np.testing.assert_array_equal(
        expected[0], [(~held_back & kept).sum() + N, (held_back & kept).sum()]
    )
    assert_same(batches_of(both, model), expected)
    assert_same(batches_of(lazy, model), expected)


def test_large_sets_stay_on_disk(
    source: Path, packed: Path, model, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from synergynet.datasets.readers.crop_store import LazyCrops
    from synergynet.training import crops as data

    tiny = source / "tiny.npz"
    for limit, wanted in ((N, np.ndarray), (N - 1, LazyCrops)):
        monkeypatch.setattr(data, "MEMORY_LIMIT", limit)
        for where in ({"shards": packed}, from_list(source)):
            for part in data.load_training_data(settings(where, tiny), model):
                assert isinstance(part.images, wanted)


def test_a_recipe_names_one_source(source: Path, packed: Path, model) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from synergynet.training.crops import load_training_data

    tiny = source / "tiny.npz"
    for wrong in (
        from_list(source) | {"shards": packed},
        {"crops": source, "shards": packed},
        {"crops": source, "list": source},
        {},
    ):
        with pytest.raises(ValueError, match="or shards in place of all three"):
            settings(wrong, tiny)
    with pytest.raises(SynergyNetError, match=r"'tiny'.*names 'open-head"):
        load_training_data(settings({"shards": packed}, Path("open-head")), model)


def edit_index(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "index.json"
    index = json.loads(file.read_bytes())
    change(index)
    file.write_text(json.dumps(index))


def repack(folder: Path, change: Callable[[int, str, bytes], tuple[str, bytes] | None]) -> None:
    """Write shard 1 again with its members changed (None: left out)."""
    file = folder / "000001.tar"
    with tarfile.open(file) as old:
        members = [(m.name, old.extractfile(m).read()) for m in old]  # type: ignore[union-attr]
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as new:
        for i, (name, data) in enumerate(members):
            changed = change(i, name, data)
            if changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, io.BytesIO(changed[1]))
    size = file.stat().st_size
    edit_index(folder, lambda index: index["shards"][1].update(bytes=size))


def member(at: int, name: str | None = None, data: bytes | None = None) -> Callable[[Path], None]:
    """Give member ``at`` of shard 1 another name or content."""

    def change(i: int, old: str, content: bytes) -> tuple[str, bytes]:
        if i != at:
            return old, content
        return old if name is None else name, content if data is None else data

    return lambda folder: repack(folder, change)


def cut_short(folder: Path) -> None:
    file = folder / "000001.tar"
    file.write_bytes(file.read_bytes()[:20_000])


def cut_and_indexed(folder: Path) -> None:
    cut_short(folder)
    edit_index(folder, lambda index: index["shards"][1].update(bytes=20_000))


def flip_header(folder: Path) -> None:
    data = bytearray((folder / "000001.tar").read_bytes())
    data[104] ^= 1  # the mode; the checksum no longer holds
    (folder / "000001.tar").write_bytes(data)


def numbers(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda f: (f / "index.json").unlink(), "index.json: missing; give a folder"),
    "index is no JSON": (lambda f: (f / "index.json").write_bytes(b"\xff{"), "not an index"),
    "other version": (lambda f: edit_index(f, lambda i: i.update(format="x")), "not an index"),
    "shard outside": (
        lambda f: edit_index(f, lambda i: i["shards"][1].update(file="../000001.tar")),
        "not an index",
    ),
    "wild count": (
        lambda f: edit_index(f, lambda i: i["shards"][1].update(count=10**12)),
        "not an index",
    ),
    "count too large": (
        lambda f: edit_index(f, lambda i: i["shards"][1].update(count=11)),
        "000001.tar: no plain file at byte",
    ),
    "count too small": (
        lambda f: edit_index(f, lambda i: i["shards"][1].update(count=9)),
        "000001.tar: it does not end where",
    ),
    "shard missing": (lambda f: (f / "000001.tar").unlink(), "000001.tar: missing, but listed"),
    "shard empty": (lambda f: (f / "000001.tar").write_bytes(b""), "000001.tar: 0 bytes, expected"),
    "cut short": (cut_short, r"000001.tar: 20000 bytes, expected \d+ \(cut short"),
    "cut, and the index agrees": (cut_and_indexed, "000001.tar: "),
    "damaged header": (flip_header, "000001.tar: no plain file at byte 0"),
    "path leads out": (member(0, "../00000010.jpg"), "'../00000010.jpg' where a .jpg or .png"),
    "foreign member": (member(3, "readme.txt"), "'readme.txt' where a .jpg"),
    "members mixed up": (member(1, "00000011.params.npy"), "'00000011.params.npy' where '00000010"),
    "member left out": (
        lambda f: repack(f, lambda i, n, d: None if i == 4 else (n, d)),
        "'00000011.json' where a .params.npy",
    ),
    "huge crop": (member(0, data=bytes(2 << 20)), "has 2097152 bytes"),
    "huge name": (member(2, data=b" " * (1 << 17)), "has 131072 bytes"),
    "63 numbers": (member(1, data=numbers(np.zeros(63))), "which cannot be"),
    "float32": (member(1, data=numbers(np.zeros(124, "f4"))), "is not 62 float64"),
    "not finite": (member(1, data=numbers(np.full(62, np.nan))), "must be finite"),
    "no name": (member(2, data=b'{"key": 1}'), "'00000010.json' does not hold a name"),
    "name leads out": (member(2, data=b'{"name": "../../x.jpg"}'), "leads out"),
    "deep name": (member(2, data=b"[" * 60_000), "does not hold a name"),
    "evaluation data": (lambda f: (f / "EVALUATION-ONLY.txt").touch(), "must not be trained on"),
}


@pytest.mark.parametrize("case", BAD)
def test_damage_is_one_sentence(packed: Path, tmp_path: Path, case: str) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(packed, folder)
    damage, message = BAD[case]
    damage(folder)
    with pytest.raises(SynergyNetError, match=message) as caught:
        shards.read_shards([folder])
    assert str(folder) in str(caught.value)


def test_broken_crops_are_named_when_they_are_drawn(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    small = cv2.imencode(".jpg", np.zeros((90, 120, 3), np.uint8))[1].tobytes()
    for data, message in (
        (small, "120x90 pixels, expected 120x120"),
        (b"text", "not a readable image"),
    ):
        shutil.copytree(packed, folder, dirs_exist_ok=True)
        member(3, data=data)(folder)
        images = shards.read_shards([folder]).images
        assert images[10].shape == (120, 120, 3)
        with pytest.raises(SynergyNetError, match=f"000001.tar: 'b/face.011.jpg': .*{message}"):
            images[11]


def test_shards_of_two_face_models_do_not_mix(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(packed, folder)
    edit_index(folder, lambda index: index.update(face_model_hash="0" * 64))
    with pytest.raises(SynergyNetError, match="must share a face model"):
        shards.read_shards([packed, folder])


def test_mistakes_are_one_sentence(source: Path, packed: Path, tmp_path: Path, model) -> None:
    tiny, broken = source / "tiny.npz", tmp_path / "broken"
    shutil.copytree(source, broken)
    cv2.imwrite(str(broken / "crops/a/face.004.jpg"), np.zeros((60, 60, 3), np.uint8))
    marked = tmp_path / "marked"
    shutil.copytree(source, marked)
    (marked / crop_list.EVALUATION_ONLY_NAME).touch()
    out = tmp_path / "out"
    for arguments, message in (
        ((broken, "-o", out, "--face-model", tiny), "face.004.jpg: 60x60 pixels, expected 120x120"),
        ((marked, "-o", out, "--face-model", tiny), "must not be trained on"),
        ((source, "-o", packed, "--face-model", tiny), "made with other settings (pack.json)"),
    ):
        result = run(*arguments)
        assert result.returncode == 1, arguments
        assert result.stderr.startswith("error: ") and message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not list(out.glob("*.tar")) and not (out / "index.json").exists()
    inputs = source / "crops", *read_source(source), model
    for outputs, message in (
        ([source], "not an empty folder"),
        ([tmp_path / "a", tmp_path / "b"], "lower the shard size"),
        ([tmp_path / "a", tmp_path / "a"], "must differ"),
    ):
        with pytest.raises(SynergyNetError, match=message):
            pack_shards(*inputs, outputs)


def test_one_mat_one_list_entry_and_one_sample_are_the_same_landmarks(
    tmp_path: Path, tiny_model
) -> None:
    """300W-LP's .mat -> list -> shards -> the crops that are trained on."""
    pytest.importorskip("scipy.io", reason="the test files are written with SciPy")
    pytest.importorskip("torch", reason="training needs torch")
    from fake_photos import write_photo

    from synergynet.datasets.prepare import prepare
    from synergynet.datasets.readers.mat_photos import benchmark_box, photo1_to_crop1, read_mat
    from synergynet.face_model.official import load_official
    from synergynet.training.crops import load_training_data

    official = write_official(tiny_model, tmp_path / "3dmm_data")
    model, whitening = load_official(official)
    for i in range(30):
        write_photo(tmp_path / "300W_LP" / "AFW", f"AFW_{i}_1_0", i)
    listed = tmp_path / "list"
    prepare("300w-lp", tmp_path / "300W_LP", listed, model, (model, whitening))
    names, raw = read_source(listed)
    pack_shards(listed / "crops", names, raw, model, [tmp_path / "shards"], shard_size=8)
    stored = shards.read_shards([tmp_path / "shards"])
    from_shards = load_training_data(
        settings({"shards": tmp_path / "shards"}, official, in_memory=False), model
    )
    points = {
        name: face
        for part in from_shards
        for name, face in zip(part.names, part.landmarks, strict=True)
    }
    assert stored.names == names and sorted(points) == names
    for name, entry, sample in zip(names, raw, stored.params, strict=True):
        mat = read_mat(tmp_path / "300W_LP" / name.replace(".jpg", ".mat"))
        truth = photo1_to_crop1(mat.decode(model), benchmark_box(mat.decode(model)))
        np.testing.assert_allclose(model.decode_landmarks(entry), truth, atol=2e-3)
        np.testing.assert_array_equal(sample, entry)
        truth[:, 2] -= truth[:, 2].mean()
        np.testing.assert_allclose(points[name], truth, atol=2e-3)
