"""Files made to do harm: every failure of the past, and what is near it."""

from __future__ import annotations

import base64
import json
import pickle
import struct
import tarfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import features

from . import seeds
from .readers import GOOD_RECIPE

Files = dict[str, bytes]


# --- Pictures


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    declared = struct.pack(">I", len(body) if length is None else length)
    return declared + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, size: tuple[int, int] = (8, 8)) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def animated(filter_type: int = 9, size: tuple[int, int] = (8, 8), longer: int = 1) -> bytes:
    """Frames without ``fcTL`` before the picture, and a filter that does not exist."""
    rows = zlib.compress(bytes([filter_type] + [7] * 3 * size[0]) * size[1] * longer)
    place = struct.pack(">IIIIHHBB", *size, 0, 0, 1, 10, 0, 0)
    return png(
        chunk(b"acTL", struct.pack(">II", 2, 0)),
        chunk(b"IDAT", rows),
        chunk(b"fcTL", struct.pack(">I", 0) + place),
        chunk(b"fdAT", struct.pack(">I", 1) + rows),
        size=size,
    )


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there so often."""
    data = seeds.photo("JPEG", 640, 640, progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:start] + data[start:end] * count + data[end:]


def pictures() -> Files:
    large = struct.pack(">HH", 65500, 65500)
    jpeg, gif, tiff = seeds.photo("JPEG"), seeds.photo("GIF"), seeds.photo("TIFF")
    start = jpeg.index(b"\xff\xc0") + 5
    bomb = zlib.compress(bytes(64 << 20))
    made = {
        "frames.png": animated(),
        "frames-64.png": animated(size=(64, 64)),
        "frames-long.png": animated(0, longer=9),
        "frames-no-control.png": png(chunk(b"acTL", struct.pack(">II", 1, 0)), chunk(b"IDAT", b"")),
        "long-chunk.png": png(chunk(b"IDAT", b"", 0xFFFFFFF0)),
        "long-first-chunk.png": b"\x89PNG\r\n\x1a\n\xff\xff\xff\xf0IHDR" + bytes(25),
        "huge.png": png(chunk(b"IDAT", zlib.compress(bytes(99))), size=(60000, 60000)),
        "text-bomb.png": png(chunk(b"zTXt", b"a\0\0" + bomb), chunk(b"IDAT", b"")),
        "profile-bomb.png": png(chunk(b"iCCP", b"a\0\0" + bomb), chunk(b"IDAT", b"")),
        "data-bomb.png": png(chunk(b"IDAT", bomb)),
        "huge.jpg": jpeg[:start] + large + jpeg[start + 4 :],
        "scans.jpg": many_scans(3000),
        "huge.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "huge.bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 2**31 - 1, 2**31 - 1,
                                        1, 24, 0, 0, 0, 0, 0, 0),
        "huge.ppm": b"P6 60000 60000 255\n",
        "huge.tif": tiff.replace(struct.pack("<HHII", 256, 4, 1, 48),
                                 struct.pack("<HHII", 256, 4, 1, 1 << 30)),
        "wide.webp": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10)
        + b"\2\0\0\0" + b"\xff\xff\xff" * 2 + bytes(8),
        "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
        "text": b"once upon a time",
    }  # fmt: skip
    if features.check("avif"):
        avif = seeds.photo("AVIF")
        place = avif.index(b"ispe") + 8
        made["huge.avif"] = avif[:place] + struct.pack(">II", 16000, 16000) + avif[place + 8 :]
    return made


def crops() -> Files:
    return {
        "frames.png": animated(size=(120, 120)),
        "other-size.png": animated(size=(64, 64)),
        "large.png": seeds.photo("PNG", 1200, 1200),
        "long-chunk.png": png(chunk(b"IDAT", b"", 0xFFFFFFF0), size=(120, 120)),
        "bomb.png": png(chunk(b"IDAT", zlib.compress(bytes(32 << 20))), size=(120, 120)),
    }


def videos() -> Files:
    other = Path(__file__).resolve()
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n"
    return {
        "list.mp4": f"ffconcat version 1.0\nfile '{other}'\n".encode(),
        "list.m3u8": playlist.encode(),
        "frames%02d.png": seeds.photo("PNG"),
        "call.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "dash.mpd": b"<?xml version='1.0'?><MPD><Period/></MPD>",
        "subtitles.srt": b"1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "text.avi": b"once upon a time",
    }


# --- Arrays


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
    import io
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def _model_with(**members: bytes) -> bytes:
    import io
    import zipfile

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
    lists = OrderedDict([("a", [1, 2])])
    made["lists.pth.tar"] = seeds.torch_file({"epoch": 1, "state_dict": lists})
    made["numbers.pth.tar"] = seeds.torch_file({"epoch": 1, "state_dict": OrderedDict([(1, one)])})
    return made


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
        "bad-text.onnx": valid.replace(b"open", b"\xff\xfe\xfd\xfc").replace(b"none", b"\xcb\xcbno"),
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


# --- Texts


def recipes() -> Files:
    aliases = "a0: &a0 [x, x]\n"
    aliases += "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30))
    values = {
        "date": "seed: 2001-99-99", "binary": "seed: 0b_", "digits": "seed: " + "9" * 5000,
        "brackets": "eval: " + "[" * 3000, "float-key": "!!float data: {}", "set": "seed: !!set {a}",
        "python": "seed: !!python/object/apply:os.system ['exit 9']", "omap": "!!omap the network",
        "base60": "seed: 190:20:30:99:99", "inf": "z_weight: .inf", "timestamp": "seed: 2001-1-1t",
        "itself": "eval: &e {a: *e}", "merge": "<<: 3", "tag": "seed: !!int abc", "nul": "seed: \0",
        "bytes": "eval: !!binary '@@'", "null-key": "~: 1", "key": "? [a, b]\n: 1", "text": "words",
    }  # fmt: skip
    made = {f"{name}.yaml": f"{GOOD_RECIPE}{text}\n".encode() for name, text in values.items()}
    made["aliases.yaml"] = f"{GOOD_RECIPE}{aliases}eval: {{a: *a29}}\n".encode()
    made["utf16.yaml"] = GOOD_RECIPE.encode("utf-16")
    made["long.yaml"] = GOOD_RECIPE.encode() + b"#" * 100_000
    return made


def overrides() -> Files:
    texts = [
        "backbone=0.5[!!set {a}]", "seed=2001-99-99", "seed=0b_", "a.b.c=1", "data=1", "losses.x=1",
        "=1", "seed", "seed=" + "9" * 5000, "eval=" + "[" * 3000, "data.crops.x=1", ".=.", "seed=\0",
        "eval=&e {a: *e}",
    ]  # fmt: skip
    return {f"{number}": text.encode() for number, text in enumerate(texts)}


def results() -> Files:
    face = seeds.result()["faces"][0]
    pose = face["pose"]

    def whole(**changes: Any) -> bytes:
        return json.dumps(seeds.result(**changes)).encode()

    def faces(**changes: Any) -> bytes:
        return whole(faces=[face | changes])

    return {
        "infinite.json": whole(width=float("inf")),
        "huge.json": whole(width=10**400),
        "negative.json": whole(height=-1),
        "width-text.json": whole(width="48"),
        "box-number.json": faces(box=1),
        "box-bool.json": faces(box=True),
        "box-group.json": faces(box={"yaw": 1}),
        "box-nan.json": faces(box=[1.0, float("nan"), 3.0, 4.0]),
        "box-huge.json": faces(box=[10**400, 1, 2, 3]),
        "score-null.json": faces(score=None),
        "pose-null.json": faces(pose=None),
        "no-scale.json": faces(pose={k: v for k, v in pose.items() if k != "scale"}),
        "shift.json": faces(pose=pose | {"translation": 1.5}),
        "faces-number.json": whole(faces=3),
        "faces-text.json": whole(faces="abc"),
        "face-list.json": whole(faces=[[1, 2]]),
        "deep.json": b"[" * 100_000,
        "not-utf8.json": b'{"image": "\xff"}',
        "list.json": b"[]",
        "other-photo.json": whole(image="b.jpg"),
    }


def name_lists() -> Files:
    return {
        "nul": b"000\0png\n001.png\n",
        "long": b"a/" * 2100 + b"\n",
        "long-name": b"a" * 4000 + b".jpg\n",
        "above": b"../a.jpg\n",
        "deep-above": b"a/b/../../../a.jpg\n",
        "absolute": b"/etc/passwd\n",
        "not-utf8": b"a\xff.jpg\n",
        "dots": b"..\n",
        "control": b"a\x1b[2J.jpg\n",
        "nothing": b"\n \n",
    }


def photo_lists() -> Files:
    return {
        "dots": b"/tmp/a/..jpg\n/tmp/a/b.jpg\n",
        "more-dots": b"/tmp/a/...jpg\n/tmp/....png\n../..jpg\n",
        "nul": b"/tmp/a\0b.jpg\n/tmp/c.jpg\n",
        "long": b"/" + b"a/" * 2100 + b"x.jpg\n",
        "long-name": b"a" * 4000 + b".jpg\n",
        "above": b"../../../../../../a.jpg\n/b.jpg\n",
        "utf16": "a.jpg\n".encode("utf-16")[:-1],
        "root": b"/\n",
        "empty-name": b".jpg\n",
    }


def failed_lists() -> Files:
    return {
        "deep": b"[" * 100_000 + b"\n",
        "list": b"[1]\n",
        "number": b'{"file": 1}\n',
        "null": b'{"file": null}\n',
        "nul": b'{"file": "a\\u0000b"}\n',
        "surrogate": b'{"file": "\\ud800.jpg"}\n',
    }


def shards() -> Files:
    def renamed(name: str) -> Callable[[tarfile.TarInfo], None]:
        return lambda member: setattr(member, "name", name)

    def linked(member: tarfile.TarInfo) -> None:
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"

    valid = seeds.shard()
    sized = bytearray(valid)
    sized[124:136] = b"77777777777\0"
    sized[148:156] = b" " * 8
    sized[148:156] = b"%06o\0 " % sum(sized[:512])
    return {
        "above.tar": seeds.shard(renamed("../00000000.params.npy")),
        "absolute.tar": seeds.shard(renamed("/00000000.params.npy")),
        "link.tar": seeds.shard(linked),
        "size.tar": bytes(sized),
        "negative.tar": valid[:124] + b"-0000000001\0" + valid[136:],
        "swapped.tar": valid[1024:] + valid[:1024],
    }


def indexes() -> Files:
    good = json.loads(seeds.index())

    def entry(**changes: Any) -> bytes:
        return json.dumps(good | {"shards": [good["shards"][0] | changes]}).encode()

    return {
        "above": entry(file="../000000.tar"),
        "count": entry(count=10**9),
        "bytes": entry(bytes=10**30),
        "nul": entry(file="000000.tar\0"),
        "deep": b"[" * 100_000,
        "many": json.dumps(good | {"shards": good["shards"] * 20_000}).encode(),
    }


HARM: dict[str, Callable[[], Files]] = {
    "photo": pictures,
    "crop": crops,
    "benchmark-photo": crops,
    "video": videos,
    "mat": mats,
    "tri": lambda: {
        "nan.mat": seeds.mat({"tri": np.full((3, 4), np.nan)}),
        "far.mat": seeds.mat({"tri": np.full((3, 4), 1e300)}),
    },
    "pickle": pickles,
    "labels": labels,
    "npy": lambda: {
        "huge.npy": header_only("'<f4'", "(99999999999,)"),
        "void.npy": header_only("'|V0'", "(1000000000,)"),
        "objects.npy": header_only("'|O'", "(3,)") + b"\x80\x04N.",
    },
    "npz": models,
    "quality": qualities,
    "official": officials,
    "meta": metadata,
    "onnx": graphs,
    "state": states,
    "yaml": recipes,
    "override": overrides,
    "json": results,
    "croplist": name_lists,
    "inferlist": photo_lists,
    "failedlist": failed_lists,
    "shards": shards,
    "index": indexes,
    "record": lambda: {"deep.json": b"[" * 100_000, "text.json": b"x"},
}

FOUND: dict[str, dict[str, str]] = {}
"""What fuzzing has found: reader -> name -> base64."""


def found(reader: str) -> Files:
    return {name: base64.b64decode(text) for name, text in FOUND.get(reader, {}).items()}
