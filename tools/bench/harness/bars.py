"""What must hold, each as a number over its limit: met or missed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.cold import HELP, IMPORT, PLAIN
from harness.contest import ratio_of
from harness.environments import MEDIAPIPE
from harness.plan import ONE_FACE_SIDE
from harness.sections.others import OFFICIAL, ours, photo_mode

FAST = "fast"
"""The quality of bars that name none."""

Result = Mapping[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """One of them.

    Attributes:
        what: that is measured.
        at_most: whether ``limit`` must not be passed upward; else not downward.
        unit: of limit and value.
        value: None where it was not measured.
        low, high: the 5th and 95th percentile of a ratio's rounds.
    """

    what: str
    limit: float
    unit: str = "ms"
    at_most: bool = True
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def of_limit(self) -> float | None:
        """The value over its limit."""
        return None if self.value is None else self.value / self.limit

    @property
    def met(self) -> bool | None:
        share = self.of_limit
        return None if share is None else (share <= 1 if self.at_most else share >= 1)

    def as_row(self) -> dict[str, Any]:
        return {**asdict(self), "of_limit": self.of_limit, "met": self.met}


def judge(result: Result, ten_faces: str) -> list[Bar]:
    """All bars, by the rows that were measured with the most threads.

    Args:
        result: the JSON.
        ten_faces: name of the photo with ten faces.
    """
    threads = max((row["threads"] for row in result["comparisons"]), default=0)
    cases = {r["case"]: r["ends"] for r in result["comparisons"] if r["threads"] == threads}
    return [
        *_against_others(cases),
        *_ten_faces(cases.get(ten_faces, ()), ten_faces),
        *_known_boxes(result["known_boxes"]),
        *_video(result["videos"]),
        *_cold(result["cold_start"]),
    ]


def _against_others(cases: Mapping[str, Sequence[Row]]) -> Iterator[Bar]:
    one = f"1 face, {ONE_FACE_SIDE} px"
    mesh = photo_mode(MEDIAPIPE)
    for quality, limit in (FAST, 1.0), ("default", 2.0):
        yield _of_ratio(
            f"{one}: {quality} over {mesh}", limit, True, cases.get(one, ()), ours(quality), mesh
        )
    for case, limit in (one, 20.0), (f"8 faces, {ONE_FACE_SIDE} px", 40.0):
        what = f"{case}: {OFFICIAL} over {FAST}, dense vertices on both sides"
        dense = ours(FAST, dense=True)
        yield _of_ratio(what, limit, False, cases.get(case, ()), OFFICIAL, dense)


def _of_ratio(what: str, limit: float, at_most: bool, rows: Sequence[Row], of: str, to: str) -> Bar:
    found = ratio_of(rows, of, to)
    if found is None:
        return Bar(what, limit, "times", at_most)
    return Bar(what, limit, "times", at_most, found["ratio"], found["low"], found["high"])


def _ten_faces(rows: Sequence[Row], name: str) -> Iterator[Bar]:
    ends = {row["end"]: row for row in rows}
    for quality, limit in (FAST, 15.0), ("default", 35.0):
        row = ends.get(ours(quality))
        ms, found = (row["ms"]["median"], row["found"]) if row else (None, None)
        yield Bar(f"{name}: {quality}", limit, value=ms)
        yield Bar(f"{name}: found by {quality}", 10, "faces", False, found)


def _known_boxes(rows: Sequence[Row]) -> Iterator[Bar]:
    threads = max((row["threads"] for row in rows), default=0)
    times = {
        (row["faces"], row["dense"]): row["ms_per_face"]["median"]
        for row in rows
        if row["quality"] == FAST and row["threads"] == threads
    }
    for faces, dense, limit in (1, False, 1.0), (64, False, 0.6), (64, True, 1.0):
        goal = "dense vertices" if dense else "landmarks and pose"
        what = f"known box to {goal}, {FAST}, {faces} face{'s' * (faces > 1)}: each"
        yield Bar(what, limit, value=times.get((faces, dense)))


def _video(rows: Sequence[Row]) -> Iterator[Bar]:
    for row in rows[:1]:
        best = sorted(row["frames_per_second"])[len(row["frames_per_second"]) // 2]
        yield Bar("video of one face, 640 x 480, JSON only", 250, "frames/s", False, best)


def _cold(rows: Sequence[Row]) -> Iterator[Bar]:
    times = {row["what"]: row["ms"]["median"] for row in rows}
    for what, limit in (IMPORT, 150.0), (HELP, 250.0), (PLAIN, 600.0):
        yield Bar(f"new process: {what}", limit, value=times.get(what))
