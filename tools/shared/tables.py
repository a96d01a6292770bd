"""Tables in Markdown, printed row by row."""

from collections.abc import Iterable


def print_head(*names: str) -> None:
    print_row(names)
    print("|" + "---|" * len(names))


def print_row(cells: Iterable[object]) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
