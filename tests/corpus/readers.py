"""Every reader of strangers' files, as one function of a path each.

A reader must end in success or in SynergyNetError, whatever the file holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from synergynet.face_model.model import NO_TRIANGLES, FaceModel
from synergynet.geometry.params import Whitening

Reader = Callable[[Path], object]
READERS: dict[str, Reader] = {}

MADE_WITH = {"synergynet": "0.1.0", "draw": "none"}
"""Settings of the results that ``json`` files claim to be."""
SHARD_ROWS = 3
N_FRAMES = 12


def reader(name: str) -> Callable[[Reader], Reader]:
    def register(function: Reader) -> Reader:
        READERS[name] = function
        return function

    return register


@lru_cache(maxsize=1)
def small_model() -> FaceModel:
    """200 vertices; vertex i is landmark i."""
    rng = np.random.default_rng(1)
    points = np.repeat(np.arange(68, dtype=np.int32)[:, None], 3, axis=1)
    return FaceModel(
        name="small",
        mean=rng.normal(0, 50, (200, 3)).astype(np.float32),
        identity_basis=rng.normal(0, 1, (40, 200, 3)).astype(np.float32),
        expression_basis=rng.normal(0, 1, (10, 200, 3)).astype(np.float32),
        triangles=NO_TRIANGLES,
        landmark_vertices=points,
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (68, 1)),
    )


@lru_cache(maxsize=1)
def small_whitening() -> Whitening:
    return Whitening(np.zeros(62, np.float32), np.ones(62, np.float32))


@contextlib.contextmanager
def folder_for(path: Path) -> Iterator[Path]:
    """An empty folder on the same disk."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="reader-") as folder:
        yield Path(folder)


# --- Pictures and video


@reader("photo")
def _photo(path: Path) -> object:
    from synergynet.files.images import read_image

    return read_image(path)


@reader("crop")
def _crop(path: Path) -> object:
    from synergynet.datasets.readers.crop_store import read_crop

    return read_crop(path)


@reader("benchmark-photo")
def _benchmark_photo(path: Path) -> object:
    from synergynet.datasets.readers.photo_folder import read_photo

    return read_photo(path)


@reader("video")
def _video(path: Path) -> object:
    from synergynet.files.video import VideoSource

    source = VideoSource(path)
    try:
        frames = sum(1 for _ in islice(source, N_FRAMES))
        return frames, source.frame_rate, source.frame_count, source.complaint()
    finally:
        source.close()


# --- Arrays and face models


@reader("mat")
def _mat(path: Path) -> object:
    from synergynet.datasets.readers.mat_photos import benchmark_box, read_mat

    labels = read_mat(path)
    with np.errstate(all="ignore"):
        if labels.points3d is not None:
            return labels.params(benchmark_box(labels.landmarks()))
    return labels.rotation


@reader("pickle")
def _pickle(path: Path) -> object:
    from synergynet.face_model.official import load_whitening

    return load_whitening(path)


@reader("labels")
def _labels(path: Path) -> object:
    from synergynet.datasets.readers.crop_list import read_params

    return read_params(path, small_whitening(), 4)


@reader("npy")
def _npy(path: Path) -> object:
    from synergynet.files.whole_file import read_npy

    return np.isfinite(read_npy(path, max_bytes=1 << 20, cure="")).all()


@reader("npz")
def _npz(path: Path) -> object:
    from synergynet.face_model.npz import load_npz

    return load_npz(path).hash


@reader("quality")
def _quality(path: Path) -> object:
    from synergynet.datasets.readers.crop_list import trusted

    return trusted(path, count=4)


@reader("part")
def _part(path: Path) -> object:
    from synergynet.datasets.synthetic.dataset import _read_part

    return _read_part(path)


@reader("tri")
def _tri(path: Path) -> object:
    from synergynet.face_model.official import _triangles

    return _triangles(path)


@reader("ict")
def _ict(path: Path) -> object:
    """A clone whose list of indices, or whose neutral mesh, is this file."""
    from synergynet.face_model import ict

    with folder_for(path) as folder:
        layout = ict.Layout(n_vertices=80, n_face=72, jaw_line={})
        names = [f"unit{i}" for i in range(12)]
        config = {"idx_to_landmark_verts": list(range(68)), "expressions": names}
        (folder / "vertex_indices.json").write_text(json.dumps(config))
        for name in (*names, *(f"identity{k:03d}" for k in range(40)), Path(ict.NEUTRAL).stem):
            (folder / f"{name}.obj").write_bytes(small_obj(len(name)))
        replaced = "vertex_indices.json" if path.read_bytes()[:1] == b"{" else ict.NEUTRAL
        shutil.copyfile(path, folder / replaced)
        return ict.load_ict(folder, layout=layout)


@cache
def small_obj(seed: int = 0) -> bytes:
    """80 vertices in a sheet, high above the chin's neck."""
    rng = np.random.default_rng(seed)
    lines = [f"v {k % 9 - 4 + x:.3f} {k // 9:.3f} 5.0" for k, x in enumerate(rng.uniform(0, 1, 80))]
    lines += [f"vt {k / 80:.3f} {k / 90:.3f}" for k in range(80)]
    lines += [f"f {k + 1}/{k + 1} {k + 2}/{k + 2} {k + 3}/{k + 3}" for k in range(70)]
    return "\n".join(lines).encode()


# --- Weights


@reader("official")
def _official(path: Path) -> object:
    from synergynet.nets.torch.official_checkpoint import read_official

    return read_official(path)


@reader("safetensors")
def _safetensors(path: Path) -> object:
    from synergynet.weights.tensors import read_safetensors_weights

    return read_safetensors_weights(path)


@reader("meta")
def _meta(path: Path) -> object:
    """A field's name, NUL, its value; the other fields are good."""
    from synergynet.weights.info import WeightsInfo

    key, _, value = path.read_bytes().decode("utf-8", "replace").partition("\0")
    return WeightsInfo.from_metadata(good_metadata() | {key: value}, str(path))


def good_metadata() -> dict[str, str]:
    from synergynet.weights.info import WeightsInfo

    return WeightsInfo(
        architecture="mobilenet_v2",
        face_model="small",
        face_model_hash="0" * 64,
        whitening=small_whitening(),
        training_data="none",
        frame="pixel",
    ).to_metadata()


@reader("onnx")
def _onnx(path: Path) -> object:
    from synergynet.regression.onnx_session import OnnxRegressor

    return OnnxRegressor(path, threads=1).predict(np.zeros((2, 120, 120, 3), np.uint8))


@reader("ckpt")
def _ckpt(path: Path) -> object:
    from synergynet.weights.ckpt import read_ckpt

    return read_ckpt(path)


@reader("ckpt-weights")
def _ckpt_weights(path: Path) -> object:
    from synergynet.weights.ckpt_weights import read_ckpt_weights

    return read_ckpt_weights(path)


@reader("state")
def _state(path: Path) -> object:
    """The state of a training run."""
    import torch

    from synergynet.training.torch.state import load_state

    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    ema = {key: value.clone() for key, value in net.state_dict().items()}
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return load_state(path, "same", net, ema, optimizer, scaler)


# --- Texts


@reader("yaml")
def _yaml(path: Path) -> object:
    from synergynet.training.config import load_config

    return load_config(path)


@reader("override")
def _override(path: Path) -> object:
    from synergynet.training.config import load_config

    with folder_for(path) as folder:
        (folder / "recipe.yaml").write_text(GOOD_RECIPE)
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        return load_config(folder / "recipe.yaml", [text])


GOOD_RECIPE = """\
data: {crops: crops, list: train.list, params: labels.pkl, face_model: open-head}
steps: 6
losses: {loss_pose: 0.5}
"""


@reader("json")
def _json(path: Path) -> object:
    """A photo's result, which ``--resume --summary`` takes as it is."""
    from synergynet.jobs.results import earlier_results
    from synergynet.jobs.summary import summary_rows, write_summary

    with folder_for(path) as folder:
        photo = Path("a.jpg")
        shutil.copyfile(path, folder / "a.json")
        before = Path.cwd()
        os.chdir(folder)
        try:
            photo.write_bytes(b"")
            os.utime(photo, (1, 1))
            found = earlier_results(photo, folder / "a", _settings_in(path))
            if found is None:
                return None
            write_summary(folder / "all.csv", [found])
            with contextlib.suppress(ImportError):
                import pyarrow  # noqa: F401

                write_summary(folder / "all.parquet", [found])
            return summary_rows(found)
        finally:
            os.chdir(before)


def _settings_in(path: Path) -> Any:
    """Those that the file names, so that the rest of it is looked at too."""
    try:
        return json.loads(path.read_bytes())["made_with"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return MADE_WITH


@reader("croplist")
def _croplist(path: Path) -> object:
    import cv2

    from synergynet.datasets.readers.crop_list import read_list
    from synergynet.datasets.readers.crop_store import crop_files

    with folder_for(path) as folder:
        (folder / "a").mkdir()
        for name in ("a/0.jpg", "a/1.jpg"):
            cv2.imwrite(str(folder / name), np.zeros((120, 120, 3), np.uint8))
        return crop_files(folder, read_list(path)).load()


@reader("inferlist")
def _inferlist(path: Path) -> object:
    """Results of every photo of a list must stay inside the output folder."""
    from synergynet.jobs.folders import place_results, read_list

    output = path.parent / "output"
    for base in place_results(read_list(path), output):
        assert os.path.abspath(f"{base}.json").startswith(f"{output}{os.sep}"), base  # noqa: PTH100
        with contextlib.suppress(OSError):
            Path(f"{base}.json").exists()
    return None


@reader("failedlist")
def _failedlist(path: Path) -> object:
    with folder_for(path) as folder:
        return _inferlist(Path(shutil.copyfile(path, folder / "failed.jsonl")))


@reader("shards")
def _shards(path: Path) -> object:
    """A tar file beside an index that says what it should."""
    from synergynet.datasets.readers import shards

    with folder_for(path) as folder:
        shutil.copyfile(path, folder / "000000.tar")
        entry = shards.ShardEntry(
            file="000000.tar", count=SHARD_ROWS, bytes=max(1, path.stat().st_size)
        )
        index = shards.ShardIndex(
            face_model="small", face_model_hash="0", source="here", shards=(entry,)
        )
        (folder / shards.INDEX_NAME).write_text(index.model_dump_json())
        return np.asarray(shards.read_shards([folder]).images)


@reader("index")
def _index(path: Path) -> object:
    from synergynet.datasets.readers.shards import INDEX_NAME, read_shards

    with folder_for(path) as folder:
        with contextlib.suppress(OSError):  # fuzzers have no shard beside it
            shutil.copyfile(path.with_name("shard"), folder / "000000.tar")
        shutil.copyfile(path, folder / INDEX_NAME)
        return read_shards([folder])


@reader("record")
def _record(path: Path) -> object:
    """What a folder of crops was made from."""
    from synergynet.datasets.readers.list_folder import claim_folder

    with folder_for(path) as folder:
        shutil.copyfile(path, folder / "prepared.json")
        return claim_folder(folder, "prepared.json", {"source": "list"})


@reader("tablepart")
def _tablepart(path: Path) -> object:
    """A Parquet part of a cluster's table."""
    from synergynet.jobs.shards import _earlier

    return _earlier(path, [(Path("a.jpg"), Path("out/a")), (Path("b.jpg"), Path("out/b"))])
