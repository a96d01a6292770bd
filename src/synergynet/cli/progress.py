"""Progress bars: what they show, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def progress_bar(what: str, console: Console, *, disable: bool = False) -> Progress:
    """A bar that counts ``what``, with the time that is left and, behind it, the task's ``note``.

    Add a task with ``total=`` and ``note=""``.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn(what, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        # Before version 14.3, Rich ends a disabled bar with an empty line.
        console=Console(quiet=True) if disable else console,
        disable=disable,
        speed_estimate_period=60,
    )


@contextmanager
def counting_bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that shows once what it gives is called with (done, total)."""
    with progress_bar(what, console) as bar:
        line = bar.add_task(what, total=None, visible=False, note="")
        yield lambda done, total: bar.update(line, completed=done, total=total, visible=True)
