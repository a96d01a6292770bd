"""``make fuzz MINUTES=n``: mutate the corpus, guided by coverage (atheris), reader by reader.

``python -m corpus.fuzz FOLDER MINUTES [READER...]`` needs ``FOLDER/seeds`` of ``corpus.make`` and
tries each reader for so long. What ends neither in success nor in SynergyNetError, within the
memory and the time of the trial, is kept in ``FOLDER/found/READER``; ``FOLDER/inputs`` holds what
reached new code, from which the next run goes on.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
import sys
import time
import traceback
from pathlib import Path

_ENDINGS = {"video": ".mp4", "failedlist": ".jsonl"}
_MOST_BYTES = 1 << 16
_SECONDS = 20
_ADDRESS_SPACE = 2 << 30


def fuzz_one(folder: Path, reader: str, seconds: int) -> None:
    """Run one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["synergynet"]):
        import synergynet.files.images  # noqa: F401

        from .readers import READERS
    from .trial import SECONDS, attempt_plainly, resident_mb

    found = folder / "found" / reader
    found.mkdir(parents=True, exist_ok=True)
    inputs, seeds = folder / "inputs" / reader, folder / "seeds" / reader
    inputs.mkdir(parents=True, exist_ok=True)
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else folder
    work = place / f"fuzz-{os.getpid()}"
    work.mkdir()
    target = work / f"input{_ENDINGS.get(reader, '')}"
    for beside in seeds.glob("shard"):
        (work / beside.name).write_bytes(beside.read_bytes())
    target.write_bytes(min(seeds.iterdir(), key=lambda path: path.stat().st_size).read_bytes())
    attempt_plainly(READERS[reader], target)  # libraries are loaded before the limit is set
    size = int(resident_mb("VmSize") * (1 << 20)) + _ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    seen: set[str] = set()

    def one_input(data: bytes) -> None:
        target.write_bytes(data)
        start = time.process_time()
        fault = attempt_plainly(READERS[reader], target)
        spent = time.process_time() - start
        if fault is None and spent > SECONDS:
            fault = f"slow: {spent:.1f} s"
        if fault is not None:
            kind = _kind(fault)
            if kind not in seen:
                seen.add(kind)
                name = hashlib.sha256(kind.encode()).hexdigest()[:8]
                (found / name).write_bytes(data)
                (found / f"{name}.txt").write_text(fault)

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={max(_MOST_BYTES, *(path.stat().st_size for path in seeds.iterdir()))}",
        f"-timeout={_SECONDS}",
        "-rss_limit_mb=0",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(inputs), str(seeds)], one_input)
    atheris.Fuzz()


def _kind(fault: str) -> str:
    """Where it was raised: inputs that end at the same line are one finding."""
    lines = [line for line in fault.splitlines() if line.startswith("  File ")]
    return lines[-1] if lines else fault.split(",")[0][:80]


def main() -> None:
    folder, minutes, *readers = sys.argv[1:]
    base = Path(folder).resolve()
    if readers[:1] == ["--one"]:
        fuzz_one(base, readers[1], int(readers[2]))
        return
    total = 0
    for reader in readers or sorted(path.name for path in (base / "seeds").iterdir()):
        end, count = time.monotonic() + 60 * float(minutes), 0
        while (left := int(end - time.monotonic())) > 2:
            command = [sys.executable, "-m", "corpus.fuzz", folder, minutes, "--one", reader]
            done = subprocess.run([*command, str(left)], capture_output=True, check=False)
            said = done.stderr.decode("utf-8", "replace")
            count += sum(map(int, re.findall(r"number_of_executed_units: +(\d+)", said)))
            if done.returncode:  # killed by an input, which libFuzzer kept
                print(f"{reader}: ended with {done.returncode}\n{said[-1500:]}", flush=True)
                if left > 60 * float(minutes) - 5:
                    break
        findings = len(list((base / "found" / reader).glob("*")))
        print(f"{reader}: {count} inputs in {minutes} min, {findings} findings", flush=True)
        total += count
    print(f"{total} inputs in all; what was found is in {base / 'found'}")


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        sys.exit(1)
