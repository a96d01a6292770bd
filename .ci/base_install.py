"""The base install: what must run without any extra, and what must name the extra it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ABSENT = ("torch", "numba", "onnx", "scipy", "pyarrow", "openvino", "pillow_heif", "pytest")
TOOLKIT = "-opt ./configs/synergy_net/synergynet.yaml"
SHIPPED = "weights/efficientnet_lite0.safetensors"

RUNS = (
    "python -c 'import synergynet'",
    "synergynet --version",
    "synergynet infer examples/astronaut.jpg -o base/infer --draw all --mesh obj,ply,glb",
    "synergynet infer photos -o base/folder --summary base/faces.csv --workers 2",
    "synergynet video talk.mp4 -o base/drawn.mp4 --json base/frames.jsonl",
    f"synergynet convert {SHIPPED} base/net.ckpt",
    "synergynet data synth -n 4 -o base/synth --workers 1",
    f"python tools/facereconstruction/infer.py {TOOLKIT}",
)
RUNS_WITH_DATA = (
    f"python tools/facereconstruction/eval.py {TOOLKIT}",
    "python synergynet_aflw2000_eval.py --root ./aflw2000_data",
)
REFUSED = {
    "synergynet train configs/open_head/mobilenet_v2.yaml": "[train]",
    f"synergynet export {SHIPPED} -o base/x.onnx": "[train]",
    f"synergynet infer photo.jpg -o base/x --weights {SHIPPED}": "[train]",
    f"python tools/facereconstruction/train.py {TOOLKIT}": "[train]",
    f"python tools/facereconstruction/export.py {TOOLKIT}": "[train]",
    "synergynet infer photo.jpg -o base/x --summary base/x.parquet": "[parquet]",
    "synergynet infer photo.jpg -o base/x --weights base/net.xml": "[openvino]",
    "synergynet infer base/photo.heic -o base/x": "[heic]",
    "synergynet infer photo.jpg -o base/x --weights base/net.ckpt": "MindSpore",
    f"synergynet convert {SHIPPED} base/net.mindir": "MindSpore",
}
"""Command -> what its one line on stderr must name."""


def check(clone: Path) -> None:
    """Run it all in ``clone``, whose ``.venv`` holds the base install; exits with what failed."""
    environment = {**os.environ, "PATH": f"{clone}/.venv/bin:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        print(f"$ {command}", flush=True)
        return subprocess.run(
            command, shell=True, cwd=clone, env=environment, capture_output=True, text=True
        )

    folder = clone / "base"
    folder.mkdir()
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    for name in ("net.xml", "net.bin"):
        (folder / name).write_bytes(b"<net/>")
    wrong = []
    for name in ABSENT:
        if not run(f"python -c 'import {name}'").returncode:
            wrong.append(f"the base install brings {name} along")
    with_data = RUNS_WITH_DATA if (clone / "aflw2000_data").exists() else ()
    for command in (*RUNS, *with_data):
        done = run(command)
        if done.returncode or done.stderr:
            wrong.append(f"{command}: exit code {done.returncode}: {done.stderr.strip()}")
    for command, extra in REFUSED.items():
        done = run(command)
        lines = done.stderr.splitlines()
        one_line = len(lines) == 1 and lines[0].startswith("error: ") and extra in lines[0]
        if done.returncode != 1 or not one_line or (folder / "x").exists():
            said = done.stderr.strip() or done.stdout.strip()
            wrong.append(f"{command}: one line naming {extra} expected, not: {said}")
    if wrong:
        sys.exit("\n".join(f"error: {line}" for line in wrong))
    print(
        f"base install: {len(RUNS) + len(with_data)} commands run, {len(REFUSED)} answer in a line"
    )
