"""Every file of the corpus, valid or damaged, through its reader."""

from __future__ import annotations

import pytest
from corpus.make import corpus_files
from corpus.trial import trial


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list:
    """All readers in one process, which is started again after a file that kills it."""
    return trial(corpus_files(tmp_path_factory.mktemp("corpus")))


def test_every_file_is_read_or_refused_in_one_sentence(results) -> None:
    faults = [f"{r.reader}/{r.path.name}: {r.fault}" for r in results if r.fault is not None]
    assert not faults, f"{len(faults)} of {len(results)}:\n" + "\n".join(faults)


def test_sentences_name_the_file_and_are_short(results) -> None:
    for result in results:
        if result.end == "refused":
            assert len(result.text.splitlines()) <= 12 and len(result.text) < 6000, result
            assert "Traceback" not in result.text
