"""A million photos in shards: each shard is one Parquet file, whole or not there at all.

The folder ``faces.parquet`` of the output holds ``_run.json``, which says of which photos and
options its parts are, and a part for every shard that is done. A shard's number fixes its photos
and the name of its part, so whoever does it, and however often, the table has its photos once.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import SynergyNetError
from ..files.whole_file import make_folder_of, whole_file, write_whole
from .batch import Job, Place, do_one
from .results import Outcome
from .summary import COLUMNS, SHAPE_COLUMNS, parquet_bytes, plain_text, shape_rows, summary_rows
from .tally import Tally

FOLDER = "faces.parquet"
FAILED = "failed.jsonl"

_ABOUT = "_run.json"  # readers of a folder of Parquet files pass over names with _ and .
_STOP = ".stop"
_AT_WORK = ".at-work-"

_LARGEST, _SMALLEST = 1000, 8
"""Photos of a shard. What a worker's death undoes is a shard, minutes of work at most; a million
photos become a thousand files."""

_SHARDS = 256
"""Of fewer photos, so many shards, that all workers are busy to the end."""

_DEATHS = 2
"""Workers that may die at a photo before it is left alone."""

_TOLD = 50  # errors of a shard that are passed on; all are in its part


@dataclass(frozen=True)
class Run:
    """Which photos and options the parts of a folder are of.

    Attributes:
        key: a hash of all photos with the places of their results, and of the options.
        photos: how many.
        per_part: photos of a shard; the last may have fewer.
    """

    key: str
    photos: int
    per_part: int

    @property
    def parts(self) -> int:
        """How many shards there are."""
        return -(-self.photos // self.per_part)


@dataclass(frozen=True)
class Table:
    """A run, and the folder of its parts."""

    folder: Path
    run: Run

    def part(self, number: int) -> Path:
        """The file of a shard."""
        return self.folder / f"part-{number:05}.parquet"

    @property
    def stop(self) -> Path:
        """Where this file is, no worker begins another photo."""
        return self.folder / _STOP

    def journal(self, number: int) -> Path:
        """Where workers note which photo of a shard is at work; gone once the shard is."""
        return self.folder / f"{_AT_WORK}{number:05}"

    def at_work(self) -> list[Path]:
        """The journals of shards that are begun."""
        return list(self.folder.glob(f"{_AT_WORK}*"))

    def all_parts(self) -> Iterator[Path]:
        """In the order of the photos."""
        return map(self.part, range(self.run.parts))

    def shard(self, number: int, places: Sequence[Place]) -> Sequence[Place]:
        """The photos of a shard out of all."""
        start = number * self.run.per_part
        return places[start : start + self.run.per_part]


@dataclass(frozen=True)
class ShardResult:
    """What became of a shard, small enough to travel.

    Attributes:
        number: of the shard.
        errors: the first sentences.
        stopped: it was left before its end and has no part.
        hopeless: why no other shard would fare better.
    """

    number: int
    tally: Tally
    errors: tuple[str, ...] = ()
    stopped: bool = False
    hopeless: str | None = None


def plan(job: Job, places: Sequence[Place], output: Path, *, resume: bool) -> Table:
    """Cut all photos into shards and note it in the folder, unless it holds another run.

    How the photos are cut follows from their number alone, so any number of workers may go on.

    Raises:
        SynergyNetError: there are parts of other photos or options, or ``resume`` is not said.
    """
    per_part = min(_LARGEST, max(_SMALLEST, len(places) // _SHARDS))
    table = Table(output / FOLDER, Run(_key(job, places, output), len(places), per_part))
    about = table.folder / _ABOUT
    if table.folder.exists() and any(table.folder.glob("part-*.parquet")):
        if _read_run(about) != table.run:
            raise SynergyNetError(
                f"{table.folder}: holds results of other photos, options or another version; "
                "give another --output, or remove that folder"
            )
        if not resume:
            raise SynergyNetError(
                f"{table.folder}: holds results of this run; go on with --resume, or remove that "
                "folder to begin anew"
            )
    content = asdict(table.run) | {"parts": table.run.parts, "made_with": dict(job.settings)}
    write_whole(about, json.dumps(content, indent=1).encode() + b"\n")
    for left in (table.stop, output / FAILED, *table.at_work()):
        left.unlink(missing_ok=True)
    return table


def note_of(journal: Path) -> tuple[str, int] | None:
    """The worker at a shard as ``host:pid``, and which of its photos; None before the first."""
    notes = _notes(journal)
    return notes[-1] if notes else None


def pack(places: Sequence[Place]) -> bytes:
    """The photos of a shard on their way to a worker: paths have much in common."""
    return zlib.compress(json.dumps([[str(part) for part in place] for place in places]).encode())


def unpack(data: bytes) -> list[Place]:
    """What :func:`pack` was given."""
    return [(Path(photo), Path(base)) for photo, base in json.loads(zlib.decompress(data))]


def do_shard(job: Job, table: Table, number: int, places: Sequence[Place]) -> ShardResult:
    """Analyse the photos of a shard and write its part last, unless it is there.

    A part stays if it has these photos and is not older than any of them. Which photo is at work
    is noted beside the parts; one at which workers died twice becomes an error.

    Raises:
        SynergyNetError: nothing more can be written.
    """
    part = table.part(number)
    earlier = _earlier(part, places)
    if earlier is not None:
        return ShardResult(number, *earlier)
    tally, errors, rows = Tally(), [], []
    for outcome in _outcomes(job, table, number, places):
        if outcome is None:
            table.journal(number).unlink(missing_ok=True)
            return ShardResult(number, Tally(), stopped=True)
        tally.count(outcome)
        rows += _rows(outcome, job.wanted.files)
        if outcome.error is not None:
            errors.append(outcome.error)
    columns = COLUMNS if job.wanted.files else COLUMNS | SHAPE_COLUMNS
    write_whole(part, parquet_bytes(rows, columns))
    table.journal(number).unlink(missing_ok=True)
    return ShardResult(number, tally, tuple(errors[:_TOLD]))


def write_failed(table: Table, places: Sequence[Place]) -> Path:
    """List what failed, one JSON object with ``file`` and ``error`` per line, for ``--list``.

    It is the end of a run: all parts are read, and each must have its photos once, in order.

    Raises:
        SynergyNetError: a part is missing or damaged.
    """
    target = table.folder.with_name(FAILED)
    make_folder_of(target)
    with whole_file(target) as partial, partial.open("w", encoding="utf-8") as stream:
        for number, part in enumerate(table.all_parts()):
            rows = _read_rows(part)
            photos = None if rows is None else _by_photo(rows, table.shard(number, places))
            if photos is None:
                raise SynergyNetError(f"{part}: missing or damaged; run again with --resume")
            for photo, row in photos:
                if row["error"] is not None:
                    line = {"file": str(photo), "error": row["error"]}
                    stream.write(json.dumps(line) + "\n")
    return target


def _key(job: Job, places: Sequence[Place], output: Path) -> str:
    digest = hashlib.sha256()
    digest.update(json.dumps([job.wanted.files, job.settings], sort_keys=True).encode())
    top = str(output)
    for photo, base in places:
        line = f"\0{photo}\0{str(base).removeprefix(top)}"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _read_run(about: Path) -> Run | None:
    try:
        content = json.loads(about.read_bytes())
        return Run(content["key"], content["photos"], content["per_part"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _outcomes(
    job: Job, table: Table, number: int, places: Sequence[Place]
) -> Iterator[Outcome | None]:
    """Of every photo, or None where the work is to stop."""
    deaths = _deaths(table.journal(number))
    worker = f"{socket.gethostname()}:{os.getpid()}"
    with table.journal(number).open("a", encoding="utf-8") as stream:
        for index, (photo, base) in enumerate(places):
            if table.stop.exists():
                yield None
                return
            if deaths[index] >= _DEATHS:
                error = f"{photo}: {deaths[index]} workers died at this photo; it is left alone"
                yield Outcome(photo, base, error=error)
                continue
            stream.write(f"{worker} {index}\n")
            stream.flush()
            yield do_one(job, (photo, base))


def _deaths(journal: Path) -> Counter[int]:
    """Photo -> workers whose last note it is."""
    return Counter(dict(_notes(journal)).values())


def _notes(journal: Path) -> list[tuple[str, int]]:
    try:
        lines = [line.rsplit(" ", 1) for line in journal.read_text("utf-8").splitlines()]
        return [(worker, int(index)) for worker, index in lines]
    except (OSError, ValueError):
        return []


def _rows(outcome: Outcome, files: bool) -> list[dict[str, Any]]:
    rows = summary_rows(outcome)
    if files or outcome.error is not None:
        return rows
    return [
        row | shape | {"json": None} for row, shape in zip(rows, shape_rows(outcome), strict=True)
    ]


def _earlier(part: Path, places: Sequence[Place]) -> tuple[Tally, tuple[str, ...]] | None:
    """What a part says that need not be made again."""
    rows = _read_rows(part)
    photos = None if rows is None else _by_photo(rows, places)
    if photos is None or _is_newer(places, part):
        return None
    tally, errors = Tally(), []
    for _, row in photos:
        failed = row["error"] is not None
        faces = 0 if failed else row["faces"]
        tally.add(Tally(1, not failed and not faces, failed, not failed, faces))
        if failed:
            errors.append(row["error"])
    return tally, tuple(errors[:_TOLD])


def _is_newer(places: Sequence[Place], part: Path) -> bool:
    """Whether a photo has changed since; one that is gone has not."""
    made = part.stat().st_mtime_ns
    for photo, _ in places:
        try:
            if photo.stat().st_mtime_ns > made:
                return True
        except OSError:
            continue
    return False


def _read_rows(part: Path) -> list[dict[str, Any]] | None:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(part, columns=["file", "faces", "error"]).to_pylist()
    except (OSError, ArrowException, ValueError):  # of damaged texts
        return None


def _by_photo(
    rows: list[dict[str, Any]], places: Sequence[Place]
) -> list[tuple[Path, dict[str, Any]]] | None:
    """Each photo with its first row; None unless each is there once, in order."""
    found, position = [], 0
    for photo, _ in places:
        if position >= len(rows):
            return None
        first, name = rows[position], plain_text(photo)
        end = position + max(1, first["faces"] or 0)
        if any(row["file"] != name for row in rows[position:end]):
            return None
        found.append((photo, first))
        position = end
    return found if position == len(rows) else None
