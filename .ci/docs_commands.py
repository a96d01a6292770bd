"""Run the commands of README.md, CONTRIBUTING.md and docs/*.md.

A block fenced as ``sh`` is run, line by line, in a clone whose environment holds the base
install. Where the comment ``<!-- needs: ... -->`` stands above the block, it is run in the
environment of development instead, and its ``pip install`` lines are taken as done.

A block fenced as ``bash`` is not run, and ``<!-- not run: REASON -->`` above it says why. One
without a reason is an error.

A line that names a folder of development data is left out, and said so, where that is missing.

Where ``<!-- prints: COMMAND -->`` stands above a block fenced as ``text``, that is what the command
must have printed: the same words, and numbers within 0.1.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
TOP = ("README.md", "CONTRIBUTING.md")
NEEDS_DATA = ("aflw2000_data", "3dmm_data", "aflw_train")
MAX_SECONDS = 240

BLOCK = re.compile(
    r"^(?:<!-- (?P<word>not run|needs): (?P<why>[^\n]*?) -->\n+)?"
    r"^```(?P<kind>sh|bash)\n(?P<body>.*?)^```",
    flags=re.M | re.S,
)

PRINTED = re.compile(
    r"^<!-- prints: (?P<command>[^\n]+?) -->\n+```text\n(?P<text>.*?)^```", flags=re.M | re.S
)
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
TOLERANCE = 0.1


@dataclass(frozen=True)
class Block:
    """Commands of one fence: ``place`` is page:line, ``needs`` the extra above it or ''."""

    place: str
    commands: list[str]
    needs: str


def read_blocks() -> list[Block]:
    """The blocks to run, page after page; exits if one that is not run gives no reason."""
    blocks, unexplained = [], []
    for page in (*(REPO / name for name in TOP), *sorted((REPO / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("kind")) + 1
            place = f"{page.relative_to(REPO)}:{line}"
            if match["kind"] == "bash":
                if match["word"] != "not run" or not match["why"].strip():
                    unexplained.append(place)
                continue
            needs = match["why"] if match["word"] == "needs" else ""
            blocks.append(Block(place, list(split_commands(match["body"])), needs))
    if unexplained:
        sys.exit(
            "error: not run, and no reason: write <!-- not run: REASON --> above "
            f"{', '.join(unexplained)}"
        )
    return blocks


def read_printed() -> dict[str, str]:
    """Command -> what the documents say that it prints."""
    pages = [REPO / name for name in TOP] + sorted((REPO / "docs").glob("*.md"))
    found = (PRINTED.finditer(page.read_text(encoding="utf-8")) for page in pages)
    return {match["command"]: match["text"] for matches in found for match in matches}


def is_alike(text: str, printed: str) -> bool:
    """Whether words are the same, and numbers about."""
    if NUMBER.sub("#", text).split() != NUMBER.sub("#", printed).split():
        return False
    pairs = zip(NUMBER.findall(text), NUMBER.findall(printed), strict=True)
    return all(abs(float(a) - float(b)) <= TOLERANCE for a, b in pairs)


def split_commands(body: str) -> Iterator[str]:
    """Commands without comment lines, those continued with a backslash in one piece."""
    for line in re.split(r"(?<!\\)\n", body):
        if line.strip() and not line.startswith("#"):
            yield line


def check(clone: Path, full: Path) -> set[str]:
    """Run everything in ``clone``; ``full`` is the environment of development.

    Returns the commands that the base install has run. Exits at the first that fails.
    """
    start, count, base, printed = time.monotonic(), 0, set(), read_printed()
    for block in read_blocks():
        bin_folder = (full if block.needs else clone / ".venv") / "bin"
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
        environment.pop("PYTHONPATH", None)
        if block.needs:
            environment["PYTHONPATH"] = str(clone / "src")
        for command in block.commands:
            if missing := [n for n in NEEDS_DATA if n in command and not (clone / n).exists()]:
                print(f"left out, needs {missing[0]}: {command}", flush=True)
                continue
            if block.needs and command.startswith("pip install"):
                continue
            print(f"{block.place} $ {command}", flush=True)
            text = printed.pop(command, None)
            done = subprocess.run(
                command,
                shell=True,
                cwd=clone,
                env=environment,
                check=False,
                stdout=None if text is None else subprocess.PIPE,
                text=True,
            )
            if done.returncode:
                sys.exit(f"error: {block.place}: exit code {done.returncode}: {command}")
            if text is not None and not is_alike(text, done.stdout):
                sys.exit(f"error: {command} prints not what the page says, but\n{done.stdout}")
            count += 1
            if not block.needs:
                base.add(command.split(" #")[0].strip())
    if printed:
        sys.exit(f"error: not run, so what it prints is not known: {', '.join(printed)}")
    seconds = time.monotonic() - start
    print(f"{count} commands of the documents passed in {seconds:.0f} s", flush=True)
    if seconds > MAX_SECONDS:
        sys.exit(f"error: more than {MAX_SECONDS} s: run fewer of them, or smaller ones")
    return base


if __name__ == "__main__":
    for each in read_blocks():
        print(each.place, each.needs, *each.commands, sep="\n    ")
