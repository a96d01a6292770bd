"""Folders, patterns and lists: which photos, where their results go, and the table of them all."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_answers import SIZE, analyzer

from synergynet.errors import SynergyNetError
from synergynet.files.whole_file import CannotWriteError
from synergynet.jobs import batch, results, summary
from synergynet.jobs.folders import Photo, find_photos, place_results, read_list
from synergynet.jobs.results import Wanted


@pytest.fixture
def trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of empty files; the working folder."""
    names = (
        "b.JPG",
        "a.png",
        "notes.txt",
        ".hidden.jpg",
        "day/c.webp",
        "day/a.png",
        "day/x/d.heic",
    )
    for name in names:
        (tmp_path / "trip" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "trip" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*sources: str, output: str = "out", **options: bool) -> list[tuple[str, str]]:
    photos = find_photos(sources, output, **options)
    return [(photo.path.as_posix(), photo.below.as_posix()) for photo in photos]


def test_a_folder_gives_its_photos_and_if_asked_those_below(trip) -> None:
    top = [("trip/a.png", "."), ("trip/b.JPG", ".")]
    assert found("trip") == top
    deep = [("trip/day/a.png", "day"), ("trip/day/c.webp", "day"), ("trip/day/x/d.heic", "day/x")]
    assert found("trip", recursive=True) == top + deep
    # A file is taken whatever it is called, and everything once.
    assert found("trip/notes.txt", "trip/b.JPG", "trip", "./trip/a.png") == [
        ("trip/notes.txt", "."),
        ("trip/b.JPG", "."),
        ("trip/a.png", "."),
    ]
    assert found("missing.jpg") == [("missing.jpg", ".")]  # reading it will say so


def test_patterns(trip) -> None:
    assert found("trip/*") == [("trip/a.png", "."), ("trip/b.JPG", ".")]
    assert found("trip/**/a.png") == [("trip/a.png", "."), ("trip/day/a.png", "day")]
    assert found("*/day/[cd].*") == [("trip/day/c.webp", "trip/day")]
    odd = Path("trip/day[1].jpg")
    odd.touch()
    assert found(str(odd)) == [("trip/day[1].jpg", ".")]  # a name that exists is no pattern


def test_the_start_of_a_pattern_that_exists_is_taken_as_it_is(trip) -> None:
    for name in ("tour [2019]", "tour 2", "tour ?"):
        Path(name).mkdir()
        Path(name, "e.jpg").touch()
    assert found("tour [2019]/*.jpg") == [("tour [2019]/e.jpg", ".")]
    assert found("tour ?/*.jpg") == [("tour ?/e.jpg", ".")]
    assert found("tour [23]/*.jpg") == [("tour 2/e.jpg", "tour 2")]


def test_links_to_folders_are_followed_and_no_folder_is_read_twice(trip) -> None:
    Path("away").mkdir()
    Path("away/z.jpg").touch()
    Path("trip/link").symlink_to("../away")
    Path("trip/day/up").symlink_to("..")  # in a circle
    deep = [path for path, _ in found("trip", recursive=True)]
    assert deep.count("trip/link/z.jpg") == 1
    assert len(deep) == 6
    assert sorted(path for path, _ in found("trip/**/*")) == sorted(deep)


def test_a_locked_folder_stands_for_its_photos(trip, monkeypatch) -> None:
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "x":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # permissions do not stop root
    assert ("trip/day/x", "day/x") in found("trip", recursive=True)
    assert "trip/day/x" in [path for path, _ in found("trip/**/*.heic")]
    assert found("trip/day/x") == [("trip/day/x", ".")]
    assert found("trip/day/x/*.heic") == [("trip/day/x", ".")]


def test_standard_input_is_a_photo() -> None:
    assert found("-") == [("/dev/stdin", ".")]


def test_results_are_not_taken_for_photos(trip) -> None:
    Path("trip/out/day").mkdir(parents=True)
    Path("trip/out/a_mesh.png").touch()
    Path("trip/out/day/a_mesh.png").touch()
    assert len(found("trip", output="trip/out", recursive=True)) == 5
    assert len(found("trip/**/*", output="trip/out")) == 5
    assert len(found("trip", output=".", recursive=True)) == 7
    for source in ("trip", "trip/*.png"):
        with pytest.raises(SynergyNetError, match="would lie among the photos"):
            found(source, output="trip")


def test_nothing_found_is_one_sentence(trip) -> None:
    Path("empty/below").mkdir(parents=True)
    with pytest.raises(SynergyNetError, match=r"empty: no photos.*--recursive"):
        found("empty")
    with pytest.raises(SynergyNetError, match=r"no photos in this folder$"):
        found("empty", recursive=True)
    with pytest.raises(SynergyNetError, match=r"trip/\*.tif: no photo matches"):
        found("trip/*.tif")


def test_lists(trip) -> None:
    lines = "trip/b.JPG\r\n\n trip/ c.png\ntrip/day/a.png\nfüße.jpg\ntrip/b.JPG\n"
    for name, data in {
        "plain": lines.encode(),
        "marked": b"\xef\xbb\xbf" + lines.encode(),
        "wide": lines.encode("utf-16"),
    }.items():
        Path(name).write_bytes(data)
        photos = [(p.path.as_posix(), p.below.as_posix()) for p in read_list(name)]
        assert photos == [
            ("trip/b.JPG", "trip"),
            (" trip/ c.png", " trip"),
            ("trip/day/a.png", "trip/day"),
            ("füße.jpg", "."),
        ]
    Path("one").write_text(str(trip / "trip/day/a.png"))
    assert read_list("one") == [Photo(trip / "trip/day/a.png", Path())]
    Path("odd").write_bytes(b"\xff.jpg\n")
    assert os.fsencode(read_list("odd")[0].path) == b"\xff.jpg"
    Path("blank").write_text("\n \n")
    with pytest.raises(SynergyNetError, match="blank: no paths"):
        read_list("blank")
    with pytest.raises(SynergyNetError, match=r"absent: cannot be read"):
        read_list("absent")


def places(*paths: str, output: str = "out") -> list[str]:
    bases = place_results([Photo(Path(path)) for path in paths], output)
    return [base.relative_to(output).as_posix() for base in bases]


def test_photos_of_one_stem_do_not_overwrite_one_another() -> None:
    stems = places("a/x.jpg", "b/X.png", "c/x.jpg", "y.jpg", "a/x-2.jpg")
    assert stems == ["x", "X-2", "x-3", "y", "x-2-2"]
    photos = [Photo(Path("a/x.jpg"), Path("a")), Photo(Path("b/x.jpg"), Path("b"))]
    assert place_results(photos, "out") == [Path("out/a/x"), Path("out/b/x")]


def test_spaces_do_not_tell_photos_apart() -> None:
    """Their OBJ's textures are named without."""
    assert places("a/my photo.jpg", "b/my_photo.jpg") == ["my photo", "my_photo-2"]


def test_results_never_replace_a_photo() -> None:
    assert places("out/x.jpg", "out/x_mesh.jpg") == ["x-2", "x_mesh"]
    assert places("out/x.jpg", "out/x_face12_uv.png") == ["x-2", "x_face12_uv"]
    assert places("out/x.jpg", "in/x_mesh.jpg") == ["x", "x_mesh"]


@given(st.lists(st.tuples(st.sampled_from("abB"), st.sampled_from(["x", "x-2", "X", "x_mesh"]))))
def test_places_are_all_different(names) -> None:
    photos = [Photo(Path(f"{folder}/{stem}.jpg")) for folder, stem in names]
    bases = [str(base).casefold() for base in place_results(photos, "b")]
    assert len(set(bases)) == len(bases)
    inputs = {str(photo.path).casefold() for photo in photos}
    assert not any(f"{base}_mesh.jpg" in inputs for base in bases)


@pytest.fixture
def work(tiny_model, tmp_path, monkeypatch) -> tuple[batch.Job, list[batch.Place]]:
    """A job with two faces in every photo, four photos of which the third is broken."""
    model = analyzer(tiny_model, (200, 150, 100), (60, 60, 60))
    monkeypatch.setattr(batch, "load", lambda models: model)
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path in paths:
        cv2.imwrite(str(path), photo)
    paths[2].write_bytes(b"no photo")
    wanted = Wanted(kinds=("landmarks",), plain=False)
    job = batch.Job(batch.Models(), wanted, results.settings_of(wanted, model), resume=True)
    return job, [(path, tmp_path / "out" / path.stem) for path in paths]


def test_a_broken_photo_does_not_stop_the_others(work) -> None:
    job, items = work
    outcomes = dict(batch.run(job, items))
    assert [outcomes[i].error is None for i in range(4)] == [True, True, False, True]
    assert "c.png: not a readable image" in (outcomes[2].error or "")
    names = sorted(path.name for path in items[0][1].parent.iterdir())
    assert names == [f"{n}{end}" for n in "abd" for end in (".json", "_landmarks.png")]
    assert outcomes[0].names == ["a.json", "a_landmarks.png"] and outcomes[0].size == (400, 300)
    assert set(outcomes[0].seconds) == set(results.STEPS)


def test_resume_repeats_only_what_must_be(work) -> None:
    job, items = work
    first = dict(batch.run(job, items))

    def repeated(job: batch.Job) -> str:
        outcomes = dict(batch.run(job, items))
        for index in (0, 1, 3):
            assert outcomes[index].faces == first[index].faces
            assert outcomes[index].size == first[index].size
        return "".join("abcd"[i] for i, outcome in outcomes.items() if not outcome.skipped)

    assert repeated(job) == "c"  # what failed is tried again
    assert repeated(replace(job, resume=False)) == "abcd"
    os.utime(items[0][0], (2**31, 2**31))  # a newer photo
    json_file = items[1][1].with_name("b.json")
    json_file.write_bytes(json_file.read_bytes()[:-40])
    assert repeated(job) == "abc"
    os.utime(items[0][0], (1, 1))
    content = json.loads(json_file.read_text())
    for change in (
        {"image": "other.png"},
        {"made_with": content["made_with"] | {"focal": 7.0}},
        {"faces": [{"box": []}]},
        {"faces": None},
    ):
        json_file.write_text(json.dumps(content | change))
        assert repeated(job) == "bc"
    json_file.write_text("[1]")
    assert repeated(job) == "bc"
    model = batch.load(job.models)
    for other in (Wanted(kinds=(), plain=False), Wanted(kinds=("landmarks",), plain=True)):
        assert results.settings_of(other, model) != job.settings


def test_a_full_disk_stops_the_run(work, monkeypatch) -> None:
    job, items = work

    def write(*args: object) -> None:
        raise CannotWriteError("no space") from OSError(28, "No space left on device")

    monkeypatch.setattr(results, "write_json", write)
    with pytest.raises(CannotWriteError):
        list(batch.run(job, items))


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_lets_the_photo_at_work_be_finished(work, monkeypatch) -> None:
    job, items = work
    write = results.write_results

    def interrupted(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return write(*args)

    monkeypatch.setattr(results, "write_results", interrupted)
    before, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):
        for index, outcome in batch.run(job, items):
            done.append(index)
            assert outcome.error is None
    assert done == [0] and (items[0][1].parent / "a.json").is_file()
    assert signal.getsignal(signal.SIGINT) is before
    # In another thread, where signals cannot be caught, it works too.
    monkeypatch.undo()
    monkeypatch.setattr(batch, "do_one", lambda job, place: place)
    threading.Thread(target=lambda: done.extend(batch.run(job, items))).run()
    assert len(done) == 5


def test_stopped_workers_begin_nothing(work, tmp_path) -> None:
    job, items = work
    job, chunk = replace(job, notes=tmp_path / "notes"), list(enumerate(items))
    (tmp_path / "notes").mkdir()
    assert len(batch._several(job, chunk)) == 4
    assert not list((tmp_path / "notes").iterdir())
    (tmp_path / "notes" / "stop").touch()
    assert batch._several(job, chunk) == []


def test_the_summary_has_a_row_per_face_and_per_photo_without(work, tmp_path, tiny_model) -> None:
    job, items = work
    outcomes = [outcome for _, outcome in batch.run(job, items[:3])]
    outcomes.append(results.Outcome(Path("no\udcffne.png"), Path("o/x"), (30, 20)))
    path = summary.write_summary(tmp_path / "new" / "all.csv", outcomes)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(summary.COLUMNS)
    assert [row["face"] for row in rows] == ["0", "1", "0", "1", "", ""]
    assert [row["faces"] for row in rows] == ["2", "2", "2", "2", "", "0"]
    assert rows[4]["error"].endswith(
        "not a readable image (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC)"
    )
    assert rows[5]["file"] == "no\\udcffne.png" and rows[5]["error"] == ""
    face = json.loads(Path(rows[1]["json"]).read_text())["faces"][1]
    got = [
        float(rows[1][name]) for name in ("box_x0", "box_y0", "box_x1", "box_y1", "yaw", "scale")
    ]
    assert got == [*face["box"], face["pose"]["yaw"], face["pose"]["scale"]]
    shift = [float(rows[1][f"translation_{axis}"]) for axis in "xyz"]
    assert shift == face["pose"]["translation"]
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' is not installed")
    table = pyarrow.read_table(summary.write_summary(tmp_path / "all.parquet", outcomes))
    assert table.column_names == list(summary.COLUMNS) and table.num_rows == 6
    for row, other in zip(rows, table.to_pylist(), strict=True):
        for name, value in other.items():
            assert row[name] == ("" if value is None else str(value))


def test_summaries_that_cannot_be_written(tmp_path, monkeypatch) -> None:
    with pytest.raises(SynergyNetError, match=r"\.csv or \.parquet"):
        summary.write_summary(tmp_path / "a.xlsx", [])
    monkeypatch.setattr(summary.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SynergyNetError, match=r"a.parquet: .*synergynet\[parquet\]"):
        summary.check_summary(tmp_path / "a.parquet")
    summary.check_summary(tmp_path / "a.CSV")
