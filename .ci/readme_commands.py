"""Run README's ``sh`` commands in a fresh clone and a fresh environment, as a newcomer would.

Blocks fenced as ``sh`` are run line by line. A line that names ``aflw2000_data`` or
``3dmm_data`` is run where the development data is at hand and left out otherwise, and said so.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SYNERGYNET_DATA", REPO.parent / "shared" / "data"))
NEEDS_DATA = ("aflw2000_data", "3dmm_data")


def main() -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [line for line in lines if line.strip() and not line.startswith("#")]
    if not commands:
        sys.exit("README.md has no sh commands")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "synergynet"
        subprocess.run(["git", "clone", "-q", str(REPO), str(clone)], check=True)
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/venv"], check=True)
        environment = {**os.environ, "PATH": f"{folder}/venv/bin:{os.environ['PATH']}"}
        for name in NEEDS_DATA:
            if (DATA / name).is_dir():
                (clone / name).symlink_to(DATA / name)
        for command in commands:
            missing = [n for n in NEEDS_DATA if n in command and not (clone / n).exists()]
            if missing:
                print(f"left out, needs {missing[0]}: {command}", flush=True)
                continue
            print(f"$ {command}", flush=True)
            subprocess.run(command, shell=True, cwd=clone, env=environment, check=True)
    print(f"{len(commands)} README commands read, those that could run passed")


if __name__ == "__main__":
    main()
