"""Photos in shards, and the Ray engine: each photo once in the table, whoever dies meanwhile."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ASTRONAUT, one_error, run, run_process
from hypothesis import given, settings
from hypothesis import strategies as st
from known_answers import SIZE, analyzer

from synergynet.errors import SynergyNetError
from synergynet.files.whole_file import CannotWriteError
from synergynet.jobs import batch, cluster, results, shards, summary
from synergynet.jobs.folders import read_list
from synergynet.jobs.results import Outcome, Wanted
from synergynet.jobs.shards import Run, ShardResult, Table
from synergynet.jobs.tally import Tally

needs_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="the extra 'parquet' is not installed"
)
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra 'ray' is not installed"
)
Work = tuple[batch.Job, list[batch.Place], Path]


@pytest.fixture
def work(tiny_model, tmp_path, monkeypatch) -> Work:
    """A job with two faces in every photo, twelve photos, the third and the last broken."""
    model = analyzer(tiny_model, (200, 150, 100), (60, 60, 60))
    monkeypatch.setattr(batch, "load", lambda models: model)
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    _, data = cv2.imencode(".png", photo)
    paths = [tmp_path / f"{number:02}.png" for number in range(12)]
    for number, path in enumerate(paths):
        path.write_bytes(b"no photo" if number in (2, 11) else data.tobytes())
        os.utime(path, (1e9, 1e9))
    wanted = Wanted(kinds=(), plain=False)
    job = batch.Job(batch.Models(), wanted, results.settings_of(wanted, model))
    output = tmp_path / "out"
    return job, [(path, output / path.stem) for path in paths], output


def do_all(job: batch.Job, table: Table, places: list[batch.Place]) -> list[ShardResult]:
    return [
        shards.do_shard(job, table, number, table.shard(number, places))
        for number in range(table.run.parts)
    ]


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 100))
def test_every_photo_is_in_one_shard(photos, per_part) -> None:
    places = [(Path(str(number)), Path("out")) for number in range(photos)]
    table = Table(Path("out"), Run("", photos, per_part))
    cut = [place for n in range(table.run.parts) for place in table.shard(n, places)]
    assert cut == places and table.shard(table.run.parts - 1, places)
    names = [path.name for path in table.all_parts()]
    assert len(set(names)) == len(names) == table.run.parts and names == sorted(names)


def test_shards_grow_with_the_number_of_photos(work) -> None:
    job, places, output = work
    for photos, per_part in ((1, 8), (24, 8), (20_000, 78), (300_000, 1000)):
        plan = shards.plan(job, places[:1] * photos, output / str(photos), resume=False)
        assert (plan.run.photos, plan.run.per_part) == (photos, per_part)


def test_a_folder_holds_one_run(work) -> None:
    job, places, output = work
    first = shards.plan(job, places, output, resume=False)
    assert shards.plan(job, places[1:], output, resume=False) != first  # nothing was done yet
    first = shards.plan(job, places, output, resume=False)
    first.part(0).touch()
    first.journal(0).touch()
    with pytest.raises(SynergyNetError, match="go on with --resume"):
        shards.plan(job, places, output, resume=False)
    assert first.journal(0).exists()
    assert shards.plan(job, places, output, resume=True) == first
    assert not first.at_work()
    moved = [(photo, output / "x" / base.name) for photo, base in places]
    for other_job, other_places in (
        (job, places[1:]),
        (job, moved),
        (replace(job, settings=dict(job.settings) | {"focal": 7.0}), places),
        (replace(job, wanted=replace(job.wanted, files=False)), places),
    ):
        with pytest.raises(SynergyNetError, match="results of other photos, options"):
            shards.plan(other_job, other_places, output, resume=True)
    (first.folder / "_run.json").write_text("[1]")
    with pytest.raises(SynergyNetError, match="results of other photos, options"):
        shards.plan(job, places, output, resume=True)


def test_shards_travel_whatever_their_names() -> None:
    places = [(Path("a\udcff.jpg"), Path("out/ü")), (Path("b\n.jpg"), Path("out/b"))]
    assert shards.unpack(shards.pack(places)) == places


@needs_pyarrow
def test_the_parts_are_the_summary(work, tmp_path) -> None:
    job, places, output = work
    table = shards.plan(job, places, output, resume=False)
    done = do_all(job, table, places)
    assert [result.number for result in done] == [0, 1]
    whole = Tally()
    for result in done:
        whole.add(result.tally)
    assert (whole.photos, whole.faces, whole.failed, whole.made) == (12, 20, 2, 10)
    assert set(whole.seconds) == set(results.STEPS)
    assert [error.split(":")[0] for r in done for error in r.errors] == [
        str(places[number][0]) for number in (2, 11)
    ]
    assert sorted(path.name for path in table.folder.iterdir()) == [
        "_run.json",
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    again = dict(batch.run(replace(job, resume=True), places))  # from the JSONs
    assert all(outcome.skipped for outcome in again.values() if outcome.error is None)
    for name in ("all.csv", "all.parquet"):
        joined = summary.join_summaries(tmp_path / "new" / name, table.all_parts())
        plain = summary.write_summary(tmp_path / name, (again[i] for i in range(12)))
        if name == "all.csv":
            assert joined.read_bytes() == plain.read_bytes()
        else:
            from pyarrow import parquet

            assert parquet.read_table(joined) == parquet.read_table(plain)


@needs_pyarrow
def test_a_part_that_is_there_is_not_made_again(work, monkeypatch) -> None:
    job, places, output = work
    table = shards.plan(job, places, output, resume=False)
    first = do_all(job, table, places)

    def begun() -> list[int]:
        seen: list[int] = []
        do = batch.do_one

        def note(job: batch.Job, place: batch.Place) -> Outcome:
            seen.append(places.index(place))
            return do(job, place)

        with monkeypatch.context() as patch:
            patch.setattr(shards, "do_one", note)
            for result, before in zip(do_all(job, table, places), first, strict=True):
                assert result.errors == before.errors
                assert result.tally.faces == before.tally.faces
        return seen

    assert begun() == []
    assert do_all(job, table, places)[0].tally.skipped == 7
    places[0][0].rename(places[0][0].with_suffix(".gone"))
    assert begun() == []
    places[0][0].with_suffix(".gone").rename(places[0][0])
    os.utime(places[9][0], (2**31, 2**31))
    assert begun() == [8, 9, 10, 11]
    os.utime(places[9][0], (1e9, 1e9))
    table.part(0).write_bytes(table.part(0).read_bytes()[:-40])
    assert begun() == [*range(8)]
    table.part(0).write_bytes(table.part(1).read_bytes())  # other photos
    assert begun() == [*range(8)]


@needs_pyarrow
def test_a_photo_at_which_workers_die_is_left_alone(work) -> None:
    job, places, output = work
    table = shards.plan(job, places, output, resume=False)
    table.journal(0).write_text("a:1 0\na:1 1\na:1 5\nb:7 0\n")
    assert shards.do_shard(job, table, 0, table.shard(0, places)).tally.failed == 1
    table.part(0).unlink()
    places[5][1].with_suffix(".json").unlink()
    table.journal(0).write_text("a:1 0\na:1 5\nb:7 0\nb:7 5\nb:8 0\n")
    result = shards.do_shard(job, table, 0, table.shard(0, places))
    assert result.tally.failed == 2 and "2 workers died at this photo" in result.errors[1]
    assert str(places[5][0]) in result.errors[1]
    assert not table.at_work() and not places[5][1].with_suffix(".json").exists()


@needs_pyarrow
def test_a_stopped_shard_has_no_part(work) -> None:
    job, places, output = work
    table = shards.plan(job, places, output, resume=False)
    table.stop.touch()
    assert shards.do_shard(job, table, 1, table.shard(1, places)).stopped
    assert [path.name for path in table.folder.iterdir() if path != table.stop] == ["_run.json"]
    assert not shards.plan(job, places, output, resume=False).stop.exists()


@needs_pyarrow
def test_without_files_the_parts_hold_all_of_the_json(work) -> None:
    from pyarrow import parquet

    job, places, output = work
    table = shards.plan(job, places[:3], output, resume=False)
    do_all(job, table, places[:3])
    content = json.loads((output / "00.json").read_text())["faces"]
    bare = replace(job, wanted=replace(job.wanted, files=False))
    table = shards.plan(bare, places[:3], output / "bare", resume=False)
    do_all(bare, table, places[:3])
    assert [path.name for path in (output / "bare").iterdir()] == [shards.FOLDER]
    rows = parquet.read_table(table.part(0)).to_pylist()
    assert [row["face"] for row in rows] == [0, 1, 0, 1, None]
    assert {row["json"] for row in rows} == {None} and rows[4]["landmarks"] is None
    for row, face in zip(rows, content, strict=False):
        assert np.allclose(row["landmarks"], np.ravel(face["landmarks"]), rtol=1e-6)
        assert np.allclose(row["rotation"], np.ravel(face["pose"]["rotation"]), rtol=1e-6)
        for name in ("identity", "expression"):
            assert np.allclose(row[name], face["coefficients"][name], rtol=1e-6)
        assert row["yaw"] == face["pose"]["yaw"]
    joined = summary.join_summaries(output / "all.csv", table.all_parts())
    with joined.open(newline="") as stream:
        assert list(next(csv.reader(stream))) == list(summary.COLUMNS)


@needs_pyarrow
def test_what_failed_can_be_given_again(work) -> None:
    job, places, output = work
    table = shards.plan(job, places, output, resume=False)
    do_all(job, table, places)
    failed = shards.write_failed(table, places)
    lines = [json.loads(line) for line in failed.read_text().splitlines()]
    assert [line["file"] for line in lines] == [str(places[number][0]) for number in (2, 11)]
    assert all("not a readable image" in line["error"] for line in lines)
    assert [photo.path for photo in read_list(failed)] == [places[2][0], places[11][0]]
    shards.plan(job, places, output, resume=True)
    assert not failed.exists()  # it is the end of a run
    for number in (0, 1):
        table.part(1).write_bytes(table.part(number).read_bytes()[: -number or None])
        with pytest.raises(SynergyNetError, match=r"part-00001.parquet: missing or damaged"):
            shards.write_failed(table, places)
    failed.write_text('{"photo": "a.jpg"}\n')
    with pytest.raises(SynergyNetError, match="each line must be like"):
        read_list(failed)


@needs_pyarrow
def test_a_full_disk_ends_the_run(work, monkeypatch) -> None:
    job, places, output = work
    table = shards.plan(job, places, output, resume=False)

    def write(*args: object) -> None:
        raise CannotWriteError("no space") from OSError(28, "No space left on device")

    monkeypatch.setattr(results, "write_json", write)
    with pytest.raises(CannotWriteError):
        do_all(job, table, places)
    worker = object.__new__(cluster.Worker)
    worker.job, worker.table, worker.problem = job, table, None
    assert worker._do(0, shards.pack(places[:8])).hopeless == "no space"


def test_a_missing_extra_is_one_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    done = run("infer", ASTRONAUT, "-o", tmp_path / "out", "--engine", "ray")
    one_error(done, 'pip install "synergynet[ray]"')
    assert not (tmp_path / "out").exists()


def test_what_the_engine_cannot_do_is_said_first(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "check_ray", lambda: None)
    output = tmp_path / "out"

    def infer(*args: object) -> subprocess.CompletedProcess[str]:
        return run("infer", ASTRONAUT, "-o", output, *args)

    one_error(infer("--engine", "ray", "--device", "cuda"), "--device cuda")
    table = output / shards.FOLDER
    one_error(infer("--engine", "ray", "--summary", table / "all.csv"), "rename the summary")
    for wrong in (["--engine", "spark"], ["--no-files"]):
        assert infer(*wrong).returncode == 2
    assert not output.exists()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 small photos, all with one face but the last two, which is broken or grey."""
    folder = tmp_path_factory.mktemp("photos")
    face = cv2.resize(cv2.imread(str(ASTRONAUT))[:300, 80:380], (200, 200))
    rng = np.random.default_rng(1)
    for number in range(22):
        lit = cv2.convertScaleAbs(face, alpha=rng.uniform(0.8, 1.2))
        cv2.imwrite(str(folder / f"{number:02}.jpg"), lit[:, :: 1 - 2 * (number % 2)])
    (folder / "22.jpg").write_bytes(b"no photo")
    cv2.imwrite(str(folder / "23.jpg"), np.full((90, 120, 3), 128, np.uint8))
    return folder


@needs_pyarrow
@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_worker_and_a_resumed_run_give_what_the_local_engine_gives(
    photos, tmp_path, monkeypatch
) -> None:
    from pyarrow import parquet

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    few = ("infer", photos, "--draw", "none", "--mesh", "none", "--detector", "yunet")
    plain = run_process(*few, "-o", "a", "--summary", "a.csv", "--workers", "1", cwd=tmp_path)
    assert plain.returncode == 1, plain.stderr
    ray = (*few, "-o", "b", "--summary", "b.csv", "--workers", "2", "--engine", "ray")
    killed: list[int] = []
    done = beside(lambda: kill_a_worker(tmp_path / "b", killed), *ray, cwd=tmp_path)
    assert killed and done.returncode == 1, done.stderr
    assert "21 faces" in done.stdout or "22 faces" in done.stdout
    assert "1 of 24 photos failed" in done.stderr

    def check() -> None:
        table = tmp_path / "b" / shards.FOLDER
        assert sorted(path.name for path in table.iterdir()) == [
            "_run.json",
            *(f"part-{number:05}.parquet" for number in range(3)),
        ]
        rows = parquet.read_table(table).to_pylist()
        once = Counter((row["file"], row["face"]) for row in rows)
        assert set(once.values()) == {1} and len({file for file, _ in once}) == 24
        names = sorted(path.name for path in (tmp_path / "a").iterdir())
        assert len(names) == 23
        for name in names:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        text = (tmp_path / "b.csv").read_text().replace(",b/", ",a/")
        assert text == (tmp_path / "a.csv").read_text()
        (line,) = (tmp_path / "b" / "failed.jsonl").read_text().splitlines()
        assert json.loads(line)["file"] == str(photos / "22.jpg")

    check()
    (tmp_path / "b" / shards.FOLDER / "part-00001.parquet").unlink()
    (tmp_path / "b" / "09.json").unlink()
    one_error(run(*ray, cwd=tmp_path), "go on with --resume")
    done = run_process(*ray, "--resume", cwd=tmp_path)
    assert done.returncode == 1 and "22 as before" in done.stdout, done.stderr
    check()


def beside(
    action: Callable[[], None], *args: object, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """``synergynet args`` in a process of its own, with ``action`` in a thread of this one."""
    thread = threading.Thread(target=action)
    thread.start()
    done = run_process(*args, cwd=cwd)
    thread.join()
    return done


def kill_a_worker(output: Path, killed: list[int]) -> None:
    """The first that is at the third photo of a shard, as its journal says."""
    end = time.monotonic() + 120
    while not killed and time.monotonic() < end:
        for journal in Table(output / shards.FOLDER, Run("", 24, 8)).at_work():
            worker, index = shards.note_of(journal) or ("", 0)
            if index >= 2:
                environment = Path(f"/proc/{worker.rpartition(':')[2]}/environ")
                if environment.exists():  # offline: Ray is told to send nothing
                    assert b"RAY_USAGE_STATS_ENABLED=0" in environment.read_bytes()
                killed.append(int(worker.rpartition(":")[2]))
                os.kill(killed[0], signal.SIGKILL)
                return
        time.sleep(0.002)
