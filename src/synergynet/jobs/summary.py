"""One table of all faces of a run, as CSV or Parquet."""

import csv
import importlib.util
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import SynergyNetError
from ..files.whole_file import write_whole
from .results import Outcome

TEXT, WHOLE, NUMBER = "string", "int32", "float64"

COLUMNS = {
    "file": TEXT,
    "json": TEXT,
    "width": WHOLE,
    "height": WHOLE,
    "faces": WHOLE,
    "face": WHOLE,
    "box_x0": NUMBER,
    "box_y0": NUMBER,
    "box_x1": NUMBER,
    "box_y1": NUMBER,
    "score": NUMBER,
    "confidence": NUMBER,
    "expected_nme_percent": NUMBER,
    "yaw": NUMBER,
    "pitch": NUMBER,
    "roll": NUMBER,
    "translation_x": NUMBER,
    "translation_y": NUMBER,
    "translation_z": NUMBER,
    "scale": NUMBER,
    "error": TEXT,
}
"""Name -> type. Units and frames are those of the JSON: pixels of the photo, degrees."""

SUFFIXES = (".csv", ".parquet")


def check_summary(path: str | Path) -> None:
    """Raise SynergyNetError if a summary of this name cannot be written here."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise SynergyNetError(f"{path}: summaries are written as {' or '.join(SUFFIXES)}")
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise SynergyNetError(
            f'{path}: writing Parquet needs pyarrow: pip install "synergynet[parquet]"; '
            "a .csv needs nothing"
        )


def write_summary(path: str | Path, outcomes: Iterable[Outcome]) -> Path:
    """Write one row per face; photos without a face and photos that failed have one row too.

    Args:
        path: ending in ``.csv`` (UTF-8, with a header) or ``.parquet`` (the extra ``parquet``).

    Raises:
        SynergyNetError: another ending, pyarrow is missing, or the system refuses.
    """
    check_summary(path)
    rows = [row for outcome in outcomes for row in summary_rows(outcome)]
    data = _parquet(rows) if Path(path).suffix.lower() == ".parquet" else _csv(rows)
    return write_whole(Path(path), data)


def summary_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """The rows of a photo, values by column; columns that do not apply are left out.

    ``face`` counts from 0, best score first; ``faces`` is how many the photo has.
    """
    photo: dict[str, Any] = {"file": _text(outcome.photo)}
    if outcome.error is not None:
        return [photo | {"error": _text(outcome.error)}]
    assert outcome.size is not None
    photo |= {
        "json": _text(outcome.base) + ".json",
        "width": outcome.size[0],
        "height": outcome.size[1],
        "faces": len(outcome.faces),
    }
    if not outcome.faces:
        return [photo]
    return [photo | {"face": number} | _numbers(face) for number, face in enumerate(outcome.faces)]


def _numbers(face: dict[str, Any]) -> dict[str, Any]:
    pose = face["pose"]
    corners = zip(("box_x0", "box_y0", "box_x1", "box_y1"), face["box"], strict=True)
    shift = zip(
        ("translation_x", "translation_y", "translation_z"), pose["translation"], strict=True
    )
    return {
        **dict(corners),
        **{name: face[name] for name in ("score", "confidence", "expected_nme_percent")},
        **{name: pose[name] for name in ("yaw", "pitch", "roll", "scale")},
        **dict(shift),
    }


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()])
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _text(value: object) -> str:
    """Names that are not UTF-8 with their odd bytes spelled out."""
    return str(value).encode("utf-8", "backslashreplace").decode()
