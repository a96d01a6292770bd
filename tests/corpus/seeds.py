"""One small valid file of each kind that a reader reads, made on the spot."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, features

from synergynet.weights.official import OFFICIAL_BUFFERS

from .readers import GOOD_RECIPE, MADE_WITH, SHARD_ROWS, small_model, small_obj

Files = dict[str, bytes]


def picture(width: int = 48, height: int = 40) -> np.ndarray:
    """(H, W, 3) uint8 RGB, smooth but nowhere flat."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


def photo(form: str, width: int = 48, height: int = 40, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture(width, height)).save(stream, form, **options)
    return stream.getvalue()


def photos() -> Files:
    made = {
        "a.jpg": photo("JPEG"),
        "progressive.jpg": photo("JPEG", progressive=True),
        "a.png": photo("PNG"),
        "a.webp": photo("WEBP"),
        "lossless.webp": photo("WEBP", lossless=True),
        "a.tif": photo("TIFF", compression="tiff_lzw"),
        "a.gif": photo("GIF"),
        "a.bmp": photo("BMP"),
        "a.jp2": photo("JPEG2000"),
        "a.ppm": photo("PPM"),
    }
    frames = [Image.fromarray(np.roll(picture(), shift, 1)) for shift in (5, 9)]
    for form in ("PNG", "WEBP", "GIF"):
        moving = {"save_all": True, "append_images": frames}
        made[f"moving.{form.lower()}"] = photo(form, **moving)
    if features.check("avif"):
        made["a.avif"] = photo("AVIF")
    return made


def videos() -> Files:
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix, codec in ((".mp4", "mp4v"), (".mkv", "mp4v"), (".avi", "MJPG")):
            path = Path(folder) / f"a{suffix}"
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25.0, (64, 48))
            for shift in range(6):
                writer.write(np.roll(picture(64, 48), shift, 1))
            writer.release()
            made[path.name] = path.read_bytes()
    return made


def mat(fields: dict[str, np.ndarray], *, compressed: bool = False) -> bytes:
    """A MATLAB 5 file of double arrays."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    out = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    for name, array in fields.items():
        body = element(6, struct.pack("<II", 6, 0))
        body += element(5, struct.pack(f"<{array.ndim}i", *array.shape))
        body += element(1, name.encode())
        body += element(9, array.astype("<f8").tobytes(order="F"))
        matrix = element(14, body)
        packed = zlib.compress(matrix)
        out += struct.pack("<II", 15, len(packed)) + packed if compressed else matrix
    return out


def mat_fields() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "Pose_Para": np.array([[0.1, 0.2, 0.1, 200, 210, 0, 1.1]]),
        "Shape_Para": rng.normal(size=(199, 1)),
        "Exp_Para": rng.normal(size=(29, 1)),
        "pt2d": rng.uniform(50, 400, (2, 21)),
        "pt3d_68": rng.uniform(50, 400, (3, 68)),
    }


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def model_npz() -> bytes:
    from synergynet.face_model.npz import save_npz

    with tempfile.TemporaryDirectory() as folder:
        save_npz(small_model(), Path(folder) / "m.npz")
        return (Path(folder) / "m.npz").read_bytes()


def indices() -> bytes:
    names = [f"unit{i}" for i in range(12)]
    return json.dumps({"idx_to_landmark_verts": list(range(68)), "expressions": names}).encode()


def safetensors_file() -> bytes:
    import safetensors.numpy

    from .readers import good_metadata

    return safetensors.numpy.save({"a": np.ones((2, 3), np.float32)}, good_metadata())


def ckpt(name: str = "backbone.features.0.0.weight") -> bytes:
    from synergynet.weights.ckpt import write_ckpt

    with tempfile.TemporaryDirectory() as folder:
        write_ckpt(Path(folder) / "a.ckpt", {name: np.ones((2, 3), np.float32)})
        return (Path(folder) / "a.ckpt").read_bytes()


def torch_file(content: Any, **options: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def official(**changes: Any) -> bytes:
    """The face model and whitening of an official checkpoint; the trained tensors are missing."""
    from collections import OrderedDict

    import torch

    shapes = ((62,), (62,), (240, 40), (240, 1), (240, 10), (204, 1), (204, 40), (204, 10))
    tensors = {n: torch.ones(s) for n, s in zip(OFFICIAL_BUFFERS, shapes, strict=True)}
    state = OrderedDict((f"module.{k}", v) for k, v in (tensors | changes).items())
    return torch_file({"epoch": 80, "state_dict": state})


def state() -> bytes:
    import torch

    from synergynet.training.backend import Standing
    from synergynet.training.torch.state import save_state

    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.safetensors"
        ema = {key: value.clone() for key, value in net.state_dict().items()}
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        save_state(path, Standing(3, 1.5, "same"), net, ema, optimizer, scaler)
        return path.read_bytes()


def onnx_graph(batch: int | str = "n") -> bytes:
    import onnx

    from .readers import good_metadata

    helper, kind = onnx.helper, onnx.TensorProto
    weight = onnx.numpy_helper.from_array(np.zeros((3, 62), np.float32), "weight")
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("Gemm", ["mean", "weight"], ["whitened"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind.FLOAT, [batch, 3, 120, 120])],
        [helper.make_tensor_value_info("whitened", kind.FLOAT, [batch, 62])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, good_metadata())
    return model.SerializeToString()


def result(**changes: Any) -> dict[str, Any]:
    """The JSON of a photo with one face."""
    pose = {"yaw": 1.5, "pitch": -2.0, "roll": 0.1, "scale": 0.9, "translation": [1.0, 2.0, 3.0]}
    face = {"box": [1.0, 2.0, 30.0, 40.0], "score": 0.9, "confidence": 0.8, "pose": pose}
    face |= {"expected_nme_percent": None, "landmarks": [[1.0, 2.0, 3.0]] * 3}
    whole = {"image": "a.jpg", "width": 48, "height": 40, "made_with": MADE_WITH, "faces": [face]}
    return whole | changes


def shard(edit: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in range(SHARD_ROWS):
            crop = photo("JPEG", 120, 120)
            label, about = npy(np.zeros(62)), json.dumps({"name": f"{row}.jpg"}).encode()
            parts = {"jpg": crop, "params.npy": label, "json": about}
            for suffix, data in parts.items():
                member = tarfile.TarInfo(f"{row:08d}.{suffix}")
                member.size = len(data)
                if suffix == "params.npy":
                    edit(member)
                tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def index() -> bytes:
    entry = {"file": "000000.tar", "count": SHARD_ROWS, "bytes": len(shard())}
    head = {"format": "synergynet-shards-1", "face_model": "small", "face_model_hash": "0"}
    return json.dumps(head | {"source": "here", "shards": [entry]}).encode()


def parquet() -> bytes:
    from synergynet.jobs.summary import parquet_bytes

    return parquet_bytes([{"file": "a.jpg", "faces": 1, "face": 0}, {"file": "b.jpg", "faces": 0}])


def whitening_pickle(protocol: int = 4) -> bytes:
    numbers = {"param_mean": np.zeros(62, np.float32), "param_std": np.ones(62, np.float32)}
    return pickle.dumps(numbers, protocol=protocol)


SEEDS: dict[str, Callable[[], Files]] = {
    "photo": photos,
    "crop": lambda: {"a.jpg": photo("JPEG", 120, 120), "a.png": photo("PNG", 120, 120)},
    "benchmark-photo": lambda: {"a.jpg": photo("JPEG", 450, 450)},
    "video": videos,
    "mat": lambda: {
        "a.mat": mat(mat_fields()),
        "packed.mat": mat(mat_fields(), compressed=True),
    },
    "tri": lambda: {"tri.mat": mat({"tri": np.arange(1, 61.0).reshape(3, 20)})},
    "pickle": lambda: {f"w{p}.pkl": whitening_pickle(p) for p in (0, 2, 4, 5)},
    "labels": lambda: {
        f"p{p}.pkl": pickle.dumps(np.zeros((4, 62), np.float32), protocol=p) for p in (2, 4)
    },
    "npy": lambda: {"a.npy": npy(np.ones((3, 4), np.float32))},
    "npz": lambda: {"small.npz": model_npz()},
    "quality": lambda: {"labels.npz": npz(mirror_disagreement_px=np.ones(4, np.float32))},
    "part": lambda: {
        "0.npz": npz(
            params62=np.zeros((2, 62), np.float32),
            landmarks68=np.zeros((2, 3, 68), np.float32),
            visibility=np.zeros((2, 68), np.int8),
            unit_weights=np.zeros((2, 52), np.float32),
        )
    },
    "ict": lambda: {"indices.json": indices(), "neutral.obj": small_obj()},
    "official": lambda: {
        "a.pth.tar": official(),
        "old.pth.tar": torch_file({"epoch": 1}, _use_new_zipfile_serialization=False),
    },
    "safetensors": lambda: {"a.safetensors": safetensors_file()},
    "meta": lambda: {
        "frame": b'frame\0"pixel"',
        "whitening": b'whitening\0{"mean": [0.5], "std": [1.0]}',
        "detector": b'detector_calibration\0{"yunet": [[1, 2], [3, 4], [5, 6]]}',
        "head": b'error_head\0{"weight": [1.0], "scores": [1, 2], "errors": [1, 2]}',
    },
    "onnx": lambda: {"a.onnx": onnx_graph(), "one.onnx": onnx_graph(1)},
    "ckpt": lambda: {"a.ckpt": ckpt()},
    "ckpt-weights": lambda: {"a.ckpt": ckpt()},
    "state": lambda: {"last.safetensors": state()},
    "yaml": lambda: {"recipe.yaml": GOOD_RECIPE.encode()},
    "override": lambda: {"a": b"optimizer.learning_rate=1e-3", "b": b"losses={loss_pose: 1}"},
    "json": lambda: {"a.json": json.dumps(result()).encode()},
    "croplist": lambda: {"train.list": b"a/0.jpg\na/1.jpg\n"},
    "inferlist": lambda: {"photos.txt": b"a/0.jpg\n/b/1.png\n"},
    "failedlist": lambda: {"failed.jsonl": b'{"file": "a.jpg", "error": "?"}\n'},
    "shards": lambda: {"000000.tar": shard()},
    "index": lambda: {"index.json": index(), "shard": shard()},
    "record": lambda: {"prepared.json": b'{"source": "list"}'},
    "tablepart": lambda: {"part.parquet": parquet()},
}
"""Reader -> file name -> bytes."""

BESIDE = ("shard",)
"""Files that a reader finds beside the one that it is given."""

NEEDS = {
    "official": "torch",
    "state": "torch",
    "onnx": "onnx",
    "tablepart": "pyarrow",
}
"""Reader -> package without which its seed cannot be made, or its reader not run."""
