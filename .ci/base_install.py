"""The base install: what must run without any extra, and what must name the extra it lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ABSENT = ("torch", "numba", "onnx", "scipy", "pyarrow", "ray", "openvino", "pillow_heif", "pytest")
TOOLKIT = "-opt ./configs/synergy_net/synergynet.yaml"
SHIPPED = "weights/efficientnet_lite0.safetensors"

RUNS = (
    "python -c 'import synergynet'",
    "synergynet --version",
    "synergynet infer examples/astronaut.jpg -o base/infer --draw all --mesh obj,ply,glb",
    "synergynet infer base/photos -o base/folder --summary base/faces.csv --workers 2",
    "synergynet video base/talk.mp4 -o base/drawn.mp4 --json base/frames.jsonl",
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
    f"synergynet infer base/photo.jpg -o base/x --weights {SHIPPED}": "[train]",
    f"python tools/facereconstruction/train.py {TOOLKIT}": "[train]",
    f"python tools/facereconstruction/export.py {TOOLKIT}": "[train]",
    "synergynet infer base/photo.jpg -o base/x --summary base/x.parquet": "[parquet]",
    "synergynet infer base/photo.jpg -o base/x --engine ray": "[ray]",
    "synergynet infer base/photo.jpg -o base/x --weights base/net.xml": "[openvino]",
    "synergynet infer base/photo.heic -o base/x": "[heic]",
    "synergynet infer base/photo.jpg -o base/x --weights base/net.ckpt": "MindSpore",
    f"synergynet convert {SHIPPED} base/net.mindir": "MindSpore",
}
"""Command -> what its one line on stderr must name."""


VIDEO = """
import cv2
photo = cv2.imread("base/photo.jpg")[:300, :400]
writer = cv2.VideoWriter("base/talk.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (400, 300))
for _ in range(8):
    writer.write(photo)
writer.release()
"""


def check(clone: Path, done: set[str]) -> None:
    """Run it all in ``clone``, whose ``.venv`` holds the base install; exits with what failed.

    What is in ``done`` has been run there before.
    """
    environment = {**os.environ, "PATH": f"{clone}/.venv/bin:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        print(f"$ {command}", flush=True)
        return subprocess.run(
            command, shell=True, cwd=clone, env=environment, capture_output=True, text=True
        )

    folder = clone / "base"
    (folder / "photos").mkdir(parents=True)
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        shutil.copy(clone / "examples" / "astronaut.jpg", folder / name)
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    for name in ("net.xml", "net.bin"):
        (folder / name).write_bytes(b"<net/>")
    subprocess.run([".venv/bin/python", "-c", VIDEO], cwd=clone, check=True)
    wrong = []
    for name in ABSENT:
        if not run(f"python -c 'import {name}'").returncode:
            wrong.append(f"the base install brings {name} along")
    with_data = RUNS_WITH_DATA if (clone / "aflw2000_data").exists() else ()
    for command in (*RUNS, *with_data):
        if command in done:
            continue
        ended = run(command)
        if ended.returncode or ended.stderr:
            wrong.append(f"{command}: exit code {ended.returncode}: {ended.stderr.strip()}")
    for command, extra in REFUSED.items():
        ended = run(command)
        lines = ended.stderr.splitlines()
        one_line = len(lines) == 1 and lines[0].startswith("error: ") and extra in lines[0]
        if ended.returncode != 1 or not one_line or (folder / "x").exists():
            said = ended.stderr.strip() or ended.stdout.strip()
            wrong.append(f"{command}: one line naming {extra} expected, not: {said}")
    if wrong:
        sys.exit("\n".join(f"error: {line}" for line in wrong))
    print(
        f"base install: {len(RUNS) + len(with_data)} commands run, {len(REFUSED)} answer in a line"
    )
