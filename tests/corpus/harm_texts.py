"""Recipes, results, lists and shards made to do harm."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from typing import Any

from . import seeds
from .readers import GOOD_RECIPE
from .seeds import Files


def recipes() -> Files:
    aliases = "a0: &a0 [x, x]\n"
    aliases += "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30))
    values = {
        "date": "seed: 2001-99-99", "binary": "seed: 0b_", "digits": "seed: " + "9" * 5000,
        "brackets": "eval: " + "[" * 3000, "float-key": "!!float data: {}",
        "set": "seed: !!set {a}",
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
        "backbone=0.5[!!set {a}]", "seed=2001-99-99", "seed=0b_", "a.b.c=1", "data=1",
        "losses.x=1", "=1", "seed", "seed=" + "9" * 5000, "eval=" + "[" * 3000, ".=.",
        "data.crops.x=1",
        "seed=\0", "eval=&e {a: *e}",
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
