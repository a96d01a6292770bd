"""Items made ahead of time on another thread."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from synergynet.files.ahead import ahead


def counting(made: list[int], stop: int, error: Exception | None = None) -> Iterator[int]:
    for i in range(stop):
        made.append(i)
        yield i
    if error is not None:
        raise error


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_the_same_items_in_the_same_order(stop: int) -> None:
    assert list(ahead(counting([], stop))) == list(range(stop))
    assert not threads()


def test_no_more_than_asked_for_are_made() -> None:
    made: list[int] = []
    with closing(ahead(counting(made, 100), count=2)) as items:
        assert next(items) == 0
        thread = threads()[0]
        thread.join(0.3)
        assert thread.is_alive() and len(made) <= 4  # one handed out, two waiting, one in hand
    assert not threads() and len(made) <= 5


def test_an_error_comes_in_its_place() -> None:
    items = ahead(counting([], 2, OSError("disk")))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(OSError, match="disk"):
        next(items)
    assert not threads()
