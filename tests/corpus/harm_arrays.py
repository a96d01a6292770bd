"""Pickles, archives of arrays and weights made to do harm."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from typing import Any

import numpy as np

from . import seeds
from .seeds import Files


class _Attack:
    def __reduce__(self) -> Any:
        import os

        return os.system, ("exit 9",)


def pickles() -> Files:
    doubled: list[Any] = []
    for _ in range(30):
        doubled = [doubled, doubled]
    deep: Any = ()
    for _ in range(200):
        deep = (deep,)
    attack = {"param_mean": _Attack(), "param_std": np.ones(62)}
    objects = {"param_mean": np.array([{}, None]), "param_std": np.ones(62)}
    memo = b"\x80\x04Nr" + struct.pack("<I", 0x0FFFFFF0) + b"."
    default = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n}X\1\0\0\0aNsb."
    made = {
        "memo.pkl": memo,
        "memo-largest.pkl": b"\x80\x04Nr\xff\xff\xff\xff.",
        "bytes.pkl": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
        "frame.pkl": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        "doubled.pkl": pickle.dumps({"param_mean": doubled, "param_std": np.ones(62)}),
        "doubled-alone.pkl": pickle.dumps(doubled),
        "deep.pkl": pickle.dumps({"param_mean": deep, "param_std": deep}),
        "deep-key.pkl": b"}" + b")" + b"\x85" * 90_000 + b"Ns.",
        "deep-list.pkl": b"]" * 90_000 + b"." ,
        "itself.pkl": b"]q\0h\0a.",
        "system.pkl": pickle.dumps(attack),
        "objects.pkl": pickle.dumps(objects),
        "build.pkl": default,
        "no-content.pkl": b"cnumpy.core.multiarray\n_reconstruct\n)R.",
        "long-number.pkl": b"L" + b"9" * 100_000 + b"L\n.",
        "short.pkl": pickle.dumps({"param_mean": np.ones(3), "param_std": np.ones(3)}),
        "names.pkl": pickle.dumps({"param_mean": np.array("x"), "param_std": np.ones(62)}),
        "nan.pkl": pickle.dumps({"param_mean": np.full(62, np.nan), "param_std": np.ones(62)}),
        "underflow.pkl": b"\x80\x04aaa.",
    }  # fmt: skip
    return made


def labels() -> Files:
    arrays: dict[str, Any] = {
        "ragged": [[1.0], [1.0, 2.0]],
        "huge": np.full((4, 62), 1e30, np.float64),
        "nan": np.full((4, 62), np.nan),
        "words": np.full((4, 62), "a"),
        "flat": np.zeros(4),
        "bools": np.zeros((4, 62), bool),
        "complex": np.zeros((4, 62), complex),
        "fewer": np.zeros((3, 62)),
    }
    return {f"{name}.pkl": pickle.dumps(value) for name, value in arrays.items()}


def header_only(descr: str, shape: str) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def _model_with(**members: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(seeds.model_npz())) as archive:
        every = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    return zipped(**(every | members))


def models() -> Files:
    many_bools = header_only("'|b1'", "(100000000,)") + bytes(100_000_000)
    return {
        "bools.npz": _model_with(unit_names=many_bools),
        "void.npz": _model_with(unit_names=header_only("'|V0'", "(1000000000,)")),
        "empty-names.npz": _model_with(unit_names=header_only("'<U0'", "(1000000000,)")),
        "records.npz": _model_with(mean=header_only("[('a', '<f8')]", "(9,)") + bytes(72)),
        "objects.npz": _model_with(mean=header_only("'|O'", "(3,)") + b"\x80\x04N."),
        "code.npz": _model_with(mean=header_only("__import__('os').system('exit 9')", "(3,)")),
        "nan-triangles.npz": _model_with(triangles=seeds.npy(np.full((5, 3), np.nan))),
        "far-triangles.npz": _model_with(triangles=seeds.npy(np.full((5, 3), 1 << 40))),
        "negative.npz": _model_with(mean=header_only("'<f4'", "(-1, 3)")),
        "lying.npz": _model_with(mean=header_only("'<f4'", "(99999999999, 3)") + bytes(12)),
        "nan.npz": _model_with(mean=seeds.npy(np.full((200, 3), np.nan))),
        "no-surrogate.npz": _model_with(name=header_only("'<U1'", "()") + b"\xff\xff\xff\xff"),
        "traversal.npz": zipped(**{"../../mean": b""}),
        "no-zip.npz": b"PK\3\4" + bytes(200),
        "many.npz": zipped(**{f"a{i}": b"" for i in range(5000)}),
    }


def qualities() -> Files:
    zeros = header_only("'<f4'", "(25000000,)") + bytes(100_000_000)
    return {
        "zeros.npz": zipped(mirror_disagreement_px=zeros),
        "void.npz": zipped(mirror_disagreement_px=header_only("'|V0'", "(1000000000,)")),
        "scalar.npz": seeds.npz(mirror_disagreement_px=np.float32(1)),
        "text.npz": seeds.npz(mirror_disagreement_px=np.array(["a"] * 4)),
    }


def mats() -> Files:
    fields = seeds.mat_fields()
    bomb = struct.pack("<II", 14, 1 << 31) + bytes(200 << 20)
    packed = zlib.compress(bomb)
    head = seeds.mat({})
    return {
        "bomb.mat": head + struct.pack("<II", 15, len(packed)) + packed,
        "huge-values.mat": seeds.mat(fields | {"pt3d_68": np.full((3, 68), 1e308)}),
        "nan.mat": seeds.mat(fields | {"Pose_Para": np.full((1, 7), np.nan)}),
        "twice.mat": seeds.mat(fields) + seeds.mat(fields)[128:],
        "long.mat": head + struct.pack("<II", 14, 0xFFFFFFF8),
    }


# --- Weights


def officials() -> Files:
    import torch

    one = torch.ones(1)
    views = {"u": one.expand(1_200_000_000, 1)}
    several = {name: one.expand(240, 40) for name in ("w_shp", "w_exp")}
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    kinds = {
        "views": views,
        "some-views": several,
        "parameter": {"u": torch.nn.Parameter(torch.ones(240, 1))},
        "sparse": {"u": torch.eye(3).to_sparse()},
        "meta": {"u": torch.empty(1 << 40, 1, device="meta")},
        "nested": {"u": nested},
        "half": {"u": torch.ones(240, 1, dtype=torch.bfloat16)},
        "conjugate": {"u": torch.ones(240, 1, dtype=torch.complex64).conj()},
        "text": {"u": "x"},
        "no-vertices": {
            "u": torch.ones(0, 1), "w_shp": torch.ones(0, 40), "w_exp": torch.ones(0, 10),
        },
    }  # fmt: skip
    made = {f"{name}.pth.tar": seeds.official(**changes) for name, changes in kinds.items()}
    large = b"\x80\x02cbuiltins\nbytearray\n\x8a\x05" + (1 << 32).to_bytes(5, "little") + b"\x85R."
    made["bytearray.pth.tar"] = _with_pickle(seeds.official(), large)
    made["old-bytearray.pth.tar"] = large
    made["long-text.pth.tar"] = b"X\xff\xff\xff\xffabc"
    lists = OrderedDict([("a", [1, 2])])
    made["lists.pth.tar"] = seeds.torch_file({"epoch": 1, "state_dict": lists})
    made["numbers.pth.tar"] = seeds.torch_file({"epoch": 1, "state_dict": OrderedDict([(1, one)])})
    return made


def _with_pickle(data: bytes, other: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(stream, "w") as made:
        for name in archive.namelist():
            made.writestr(name, other if name.endswith("data.pkl") else archive.read(name))
    return stream.getvalue()


def metadata() -> Files:
    numbers = "[" + ", ".join(["1" + "0" * 400] * 62) + "]"
    values = {
        "whitening": f'{{"mean": {numbers}, "std": {numbers}}}',
        "border": "1" + "0" * 400,
        "input_size": "1e400",
        "format_version": "9" * 5000,
        "frame": '"\\ud800"',
        "error_head": '{"weight": [1e400], "scores": [0, 1], "errors": [1, 2]}',
        "detector_calibration": '{"yunet": [[1' + "0" * 400 + ", 1], [1, 1], [1, 1]]}",
        "accuracy": "[" * 3000,
        "extra": '{"a": NaN}',
        "crop_rule": '["box"]',
        "channel_order": "{}",
    }
    return {name: f"{name}\0{value}".encode() for name, value in values.items()}


def graphs() -> Files:
    import onnx

    from .readers import good_metadata

    helper, kind = onnx.helper, onnx.TensorProto

    def graph(*nodes: Any, metadata: dict[str, str] | None = None, **named: str) -> bytes:
        port = helper.make_tensor_value_info
        made = helper.make_graph(
            list(nodes),
            "small",
            [port(named.get("x", "x"), kind.FLOAT, ["n", 3, 120, 120])],
            [port(named.get("y", "y"), kind.FLOAT, ["n", 62])],
            [onnx.numpy_helper.from_array(np.array([-1, 62], np.int64), "shape")],
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, metadata or good_metadata())
        return model.SerializeToString()

    reshape = helper.make_node("Reshape", ["x", "shape"], ["y"])
    valid = seeds.onnx_graph()
    return {
        "fails-when-run.onnx": graph(reshape),
        "fixed-two.onnx": seeds.onnx_graph(2),
        "fixed-many.onnx": seeds.onnx_graph(100_000),
        "bad-text.onnx": valid.replace(b"open", b"\xff\xfe\xfd\xfc").replace(
            b"none", b"\xcb\xcbno"
        ),
        "bad-input.onnx": valid.replace(b"\x01x", b"\x01\xb3"),
        "bad-output.onnx": valid.replace(b"whitened", b"\xdehitened"),
    }


def states() -> Files:
    import safetensors.numpy

    tensors = {"model.weight": np.ones((2, 3), np.float32)}
    good = {"format": "synergynet-training-2", "step": "3", "fingerprint": "same", "best": "1"}
    good |= {"optimizer": "{}", "scaler": "{}"}
    kinds: dict[str, dict[str, str]] = {
        "no-fields": {"format": "synergynet-training-2"},
        "bad-step": good | {"step": "x"},
        "bad-best": good | {"best": "[]"},
        "bad-optimizer": good | {"optimizer": '{"a": 1}'},
        "deep-optimizer": good | {"optimizer": "[" * 100_000},
        "missing-tensors": good,
        "compact": good | {"format": "synergynet-training-2-compact"},
    }
    return {f"{name}.safetensors": safetensors.numpy.save(tensors, m) for name, m in kinds.items()}
