"""The table: all of a run's results as one page of Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.bars import Bar
from harness.contest import ratio_of
from harness.plan import ONE_FACE_SIDE

Result = Mapping[str, Any]
Row = Mapping[str, Any]


def write_report(result: Result, bars: Sequence[Bar], qualities: Sequence[str]) -> str:
    """The page.

    Args:
        result: the JSON.
        qualities: names, in their order.
    """
    parts = [
        _head(result),
        _bars(bars, max(result["peaks"])),
        *_comparisons(result["comparisons"], qualities),
        *_whole_photos(result["whole_photos"]),
        *_phases(result["phases"]),
        _known_boxes(result["known_boxes"]),
        _small_table("Video, JSON only", ("", "frames/s"), map(_video_row, result["videos"])),
        _small_table(
            "From a new process, seconds (median / p95)",
            ("", "s"),
            ((row["what"], _pair(row["ms"], 1000, 3)) for row in result["cold_start"]),
        ),
        _small_table(
            "First answer of a new process for a decoded photo, and peak memory",
            ("", "photo", "s", "MB"),
            map(_first_row, result["first_answers"]),
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _head(result: Result) -> str:
    machine, peaks = result["machine"], result["peaks"]
    libraries = ", ".join(f"{name} {v}" for name, v in machine["libraries"].items())
    lines = [
        "# Speed",
        "",
        f"{machine['processor']}, {machine['processors']} processors, load {machine['load']} "
        f"at the start; {machine['system']}, Python {machine['python']}, {libraries}.",
        *(f"{name}: {', '.join(those)}." for name, those in result["rivals"].items()),
        f"Measured {result['when']}.",
        "",
        *(
            f"Peak of {threads} thread(s): {one['multiply_adds']:.1f} G multiply-adds and "
            f"{one['bytes']:.1f} GB in a second."
            for threads, one in peaks.items()
        ),
        "",
        "Milliseconds are median / 95th percentile, and for phases / floor.",
        *([""] if result["notes"] else []),
        *(f"- {note}" for note in result["notes"]),
    ]
    return "\n".join(lines)


def _bars(bars: Sequence[Bar], threads: int) -> str:
    rows = []
    for bar in bars:
        spread = "" if bar.low is None else f" ({bar.low:.2f} to {bar.high:.2f})"
        value = "" if bar.value is None else f"{bar.value:.2f}{spread}"
        limit = f"{'<=' if bar.at_most else '>='} {bar.limit:g} {bar.unit}"
        rows.append((bar.what, limit, value, _number(bar.of_limit, 2), verdict(bar)))
    return f"## Bars, {threads} thread(s)\n\n" + table(
        ("", "bar", "measured", "of the bar", ""), rows
    )


def verdict(bar: Bar) -> str:
    return {None: "not measured", True: "met", False: "**missed**"}[bar.met]


def _comparisons(cases: Sequence[Row], qualities: Sequence[str]) -> Iterator[str]:
    """A table a case: every end, and its time over that of this package's qualities."""
    names = [f"synergynet {quality}" for quality in qualities]
    for case in cases:
        if not case["ends"]:
            continue
        width, height = case["size"]
        title = f"## {case['case']} ({width} x {height}), {case['threads']} thread(s)"
        rows = [
            (
                row["end"],
                row["found"] if case["faces"] is None else f"{row['found']} of {case['faces']}",
                _pair(row["ms"]),
                *(_ratio(case["ends"], row["end"], name) for name in names),
            )
            for row in case["ends"]
        ]
        yield title + "\n\n" + table(("", "faces", "ms", *(f"x {n}" for n in names)), rows)


def _ratio(rows: Sequence[Row], of: str, to: str) -> str:
    found = ratio_of(rows, of, to) if of != to else None
    if found is None:
        return ""
    return f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def _whole_photos(rows: Sequence[Row]) -> Iterator[str]:
    """Made photos as a grid for each number of threads, real ones as a list."""
    made = [row for row in rows if row["faces"] is not None]
    for threads in _values(made, "threads"):
        title = f"## A decoded photo to landmarks and pose, {threads} thread(s)"
        here = [row for row in made if row["threads"] == threads]
        yield _grid(title, here, ("quality", "faces"), lambda row: row["size"][0], _found_cell)
    real = [row for row in rows if row["faces"] is None]
    if real:
        lines = [
            (
                r["photo"],
                "{} x {}".format(*r["size"]),
                r["quality"],
                r["threads"],
                r["found"],
                _pair(r["ms"]),
            )
            for r in real
        ]
        head = ("", "pixels", "quality", "threads", "faces", "ms")
        yield "## Real photos to landmarks and pose\n\n" + table(head, lines)


def _found_cell(row: Row) -> str:
    missing = "" if row["found"] == row["faces"] else f", found {row['found']}"
    return _pair(row["ms"]) + missing


def _phases(rows: Sequence[Row]) -> Iterator[str]:
    for threads in _values(rows, "threads"):
        here = [row for row in rows if row["threads"] == threads]
        one = [row for row in here if row["faces"] == 1]
        many = [row for row in here if row["side"] == ONE_FACE_SIDE]
        by = ("phase", "quality")
        title = f"## Phases of one face by the photo's side in pixels, {threads} thread(s)"
        yield _grid(title, one, by, lambda row: row["side"], _floor_cell)
        title = f"## Phases at {ONE_FACE_SIDE} pixels by the number of faces, {threads} thread(s)"
        yield _grid(title, many, by, lambda row: row["faces"], _floor_cell)


def _floor_cell(row: Row) -> str:
    floor = row.get("floor")
    return _pair(row["ms"]) + ("" if floor is None else f" / {_short(floor['ms'])}")


def _grid(
    title: str,
    rows: Sequence[Row],
    by: Sequence[str],
    column: Callable[[Row], int],
    cell: Callable[[Row], str],
) -> str:
    columns = sorted({column(row) for row in rows})
    lines: dict[tuple[Any, ...], dict[int, str]] = {}
    for row in rows:
        lines.setdefault(tuple(row[name] for name in by), {})[column(row)] = cell(row)
    body = [(*key, *(cells.get(c, "") for c in columns)) for key, cells in lines.items()]
    return title + "\n\n" + table((*by, *columns), body)


def _known_boxes(rows: Sequence[Row]) -> str:
    lines = [
        (
            row["quality"],
            row["threads"],
            row["faces"],
            "dense vertices" if row["dense"] else "landmarks and pose",
            _pair(row["ms_per_face"]),
        )
        for row in rows
    ]
    head = ("quality", "threads", "faces", "to", "ms each")
    return "## Known boxes\n\n" + table(head, lines)


def _video_row(row: Row) -> tuple[str, str]:
    return row["what"], " ".join(f"{rate:.0f}" for rate in row["frames_per_second"])


def _first_row(row: Row) -> tuple[str, str, str, str]:
    return row["end"], row["photo"], _pair(row["ms"], 1000, 3), _number(row["peak_mb"], 0)


def _small_table(title: str, head: Sequence[str], rows: Any) -> str:
    lines = list(rows)
    return f"## {title}\n\n{table(head, lines)}" if lines else ""


def _values(rows: Sequence[Row], name: str) -> list[Any]:
    return sorted({row[name] for row in rows})


def _pair(ms: Mapping[str, float], over: float = 1, digits: int | None = None) -> str:
    pair = (ms["median"] / over, ms["p95"] / over)
    return " / ".join(_short(v) if digits is None else f"{v:.{digits}f}" for v in pair)


def _short(value: float) -> str:
    """Three digits are what a time is worth."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
