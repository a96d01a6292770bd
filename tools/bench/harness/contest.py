"""Ends that are measured in turn, A B C C B A ..., so that what disturbs one disturbs all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from harness.samples import Summary, ratio, summary
from harness.worker import Worker, WorkerError

WARM_UP = 2
LEAST_ROUNDS = 4


@dataclass(frozen=True)
class End:
    """A tool that answers for a photo or video, and how it is asked.

    Attributes:
        name: in the tables.
        worker: that measures it.
        request: without the number of runs.
    """

    name: str
    worker: Worker
    request: dict[str, Any]


@dataclass
class Times:
    """Of one end: every time, the median of each round, and the faces found last."""

    ms: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    found: int = 0


def compare(
    ends: Sequence[End], rounds: int, seconds: float, longest: float, notes: list[str]
) -> dict[str, Times]:
    """Times of every end that does not fail; one that fails is left out, with a note.

    Args:
        rounds: fewer, but ``LEAST_ROUNDS``, where they take longer than ``longest`` seconds.
        seconds: of an end in a round; it runs at least once.
    """
    out: dict[str, Times] = {}
    start = perf_counter()
    for number in range(-1, rounds):
        if number >= LEAST_ROUNDS and perf_counter() - start > longest:
            break
        order = ends if number % 2 == 0 else tuple(reversed(ends))
        for end in order:
            if number >= 0 and end.name not in out:
                continue
            how = {"seconds": seconds, "least": 1, "warm_up": 0}
            if number < 0:  # loads, compiles and fills caches
                how = {"seconds": 0.0, "least": WARM_UP, "warm_up": 0}
            try:
                answer = end.worker.ask({**end.request, **how})
            except WorkerError as error:
                notes.append(f"{end.name} was left out: {error}")
                out.pop(end.name, None)
                continue
            times = out.setdefault(end.name, Times())
            if number >= 0:
                times.ms += answer["ms"]
                times.rounds.append(median(answer["ms"]))
                times.found = answer["found"]
    return {end.name: out[end.name] for end in ends if end.name in out}


def as_rows(times: dict[str, Times]) -> list[dict[str, Any]]:
    """For the JSON: one entry per end."""
    return [
        {
            "end": name,
            "found": one.found,
            "ms": summary(one.ms),
            "rounds_ms": [round(t, 4) for t in one.rounds],
        }
        for name, one in times.items()
    ]


def ratio_of(rows: Sequence[Mapping[str, Any]], of: str, to: str) -> Summary | None:
    """Time of one end over another's; None if one of them is missing."""
    rounds = {row["end"]: row["rounds_ms"] for row in rows}
    return ratio(rounds[of], rounds[to]) if of in rounds and to in rounds else None
