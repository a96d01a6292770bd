"""Silence for tools that talk."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*, stderr: bool = False) -> Iterator[None]:
    """Hold back remarks and warnings (errors pass) of packages that this network does not use.

    Args:
        stderr: also what is printed from C++, by turning the file descriptor away.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = os.dup(2)
        if stderr:
            os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            logging.disable(before)
