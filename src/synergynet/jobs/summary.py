"""One table of all faces of a run, as CSV or Parquet."""

import csv
import importlib.util
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import SynergyNetError
from ..files.whole_file import make_folder_of, whole_file, write_whole
from .results import Outcome

if TYPE_CHECKING:
    import pyarrow

TEXT, WHOLE, NUMBER, NUMBERS = "string", "int32", "float64", "list of float32"

COLUMNS = {
    "file": TEXT,
    "json": TEXT,
    "width": WHOLE,
    "height": WHOLE,
    "faces": WHOLE,
    "left_out": WHOLE,
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

SHAPE_COLUMNS = dict.fromkeys(("rotation", "landmarks", "identity", "expression"), NUMBERS)
"""What else Parquet can hold of a face: 9, 68 x 3, 40 and 10 numbers, row by row."""

SUFFIXES = (".csv", ".parquet")

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def names_summary(path: Path) -> bool:
    """Whether its ending tells what to write; into pipes and devices it is CSV."""
    return path.suffix.lower() in SUFFIXES or (path.exists() and not path.is_file())


def check_summary(path: str | Path) -> None:
    """Raise SynergyNetError if a summary of this name cannot be written here."""
    if not names_summary(Path(path)):
        raise SynergyNetError(f"{path}: summaries are written as {' or '.join(SUFFIXES)}")
    if _is_parquet(path) and importlib.util.find_spec("pyarrow") is None:
        raise SynergyNetError(
            f'{path}: writing Parquet needs pyarrow: pip install "synergynet[parquet]"; '
            "a .csv needs nothing"
        )


def write_summary(path: str | Path, outcomes: Iterable[Outcome]) -> Path:
    """Write one row per face; photos without a face and photos that failed have one row too.

    Args:
        path: ending in ``.csv`` (UTF-8, with a header) or ``.parquet`` (the extra ``parquet``);
            or a pipe or device, as ``/dev/stdout``: CSV.

    Raises:
        SynergyNetError: another ending, pyarrow is missing, or the system refuses.
    """
    check_summary(path)
    rows = [row for outcome in outcomes for row in summary_rows(outcome)]
    if _is_parquet(path):
        return write_whole(Path(path), parquet_bytes(rows))
    text = io.StringIO(newline="")
    _csv_writer(text).writerows(map(_as_cells, rows))
    return write_whole(Path(path), text.getvalue().encode())


def join_summaries(path: str | Path, parts: Iterable[Path]) -> Path:
    """Write one summary out of Parquet files that hold its rows, one file at a time in memory.

    Raises:
        SynergyNetError: as :func:`write_summary`.
    """
    from pyarrow import parquet

    check_summary(path)
    target, columns = Path(path), list(COLUMNS)
    make_folder_of(target)
    with whole_file(target) as partial:
        tables = (parquet.read_table(part, columns=columns) for part in parts)
        if _is_parquet(path):
            with parquet.ParquetWriter(partial, _schema(COLUMNS), compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table)
        else:
            with partial.open("w", encoding="utf-8", newline="") as stream:
                rows = _csv_writer(stream)
                for table in tables:
                    rows.writerows(map(_as_cells, table.to_pylist()))
    return target


def summary_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """The rows of a photo, values by column; columns that do not apply are left out.

    ``face`` counts from 0, best score first; ``faces`` is how many the photo has.
    """
    photo: dict[str, Any] = {"file": plain_text(outcome.photo)}
    if outcome.error is not None:
        return [photo | {"error": plain_text(outcome.error)}]
    assert outcome.size is not None
    photo |= {
        "json": plain_text(outcome.base) + ".json",
        "width": outcome.size[0],
        "height": outcome.size[1],
        "faces": len(outcome.faces),
        "left_out": outcome.left_out,
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


def shape_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """Beside the rows of :func:`summary_rows`, if the outcome holds all of the JSON: what
    ``SHAPE_COLUMNS`` names."""
    return [
        {
            "rotation": _flat(face["pose"]["rotation"]),
            "landmarks": _flat(face["landmarks"]),
            **face["coefficients"],
        }
        for face in outcome.faces
    ] or [{}]


def parquet_bytes(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str] = COLUMNS) -> bytes:
    """A Parquet file of ``columns``, name -> type; a row has null where it lacks one."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(list(rows), schema=_schema(columns))
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _csv_writer(stream: IO[str]) -> "csv.DictWriter[str]":
    writer = csv.DictWriter(stream, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    return writer


def _as_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """Texts that a spreadsheet would take for a formula begin with ``./``; paths stay paths."""
    return {
        name: f"./{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value
        for name, value in row.items()
    }


def _schema(columns: Mapping[str, str]) -> "pyarrow.Schema":
    import pyarrow

    types = {
        TEXT: pyarrow.string(),
        WHOLE: pyarrow.int32(),
        NUMBER: pyarrow.float64(),
        NUMBERS: pyarrow.list_(pyarrow.float32()),
    }
    return pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])


def _is_parquet(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".parquet"


def _flat(rows: Sequence[Sequence[float]]) -> list[float]:
    return [value for row in rows for value in row]


def plain_text(value: object) -> str:
    """Names that are not UTF-8 with their odd bytes spelled out."""
    return str(value).encode("utf-8", "backslashreplace").decode()
