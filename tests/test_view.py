"""``synergynet view``: what the page is opened with, and which files it may show."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from helpers import ASTRONAUT, one_error, run

from synergynet.errors import SynergyNetError
from synergynet.serve.start import start_with


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    done = run("infer", ASTRONAUT, "-o", folder, "--quality", "fast", "--mesh", "none")
    assert done.returncode == 0, done.stderr
    return folder


def test_results_become_a_grid(results: Path) -> None:
    start = start_with(results)
    (item,) = start.content["items"]
    assert start.content["kind"] == "results"
    assert (item["name"], item["width"], item["count"]) == ("astronaut", 512, 1)
    assert start.files[item["photo"]] == ASTRONAUT
    assert {*item["pictures"]} == {"landmarks", "pose", "mesh"}
    assert len(item["faces"][0]["points"]) == 3 * 68
    assert item["faces"][0]["confidence"] > 0.9


def test_photos_that_moved_are_found_by_folder(results: Path, tmp_path: Path) -> None:
    copy, photos = tmp_path / "out", tmp_path / "photos"
    shutil.copytree(results, copy)
    photos.mkdir()
    sheet = copy / "astronaut.json"
    sheet.write_text(sheet.read_text().replace(str(ASTRONAUT), "/gone/astronaut.jpg"))
    assert start_with(copy).content["items"][0]["photo"] is None
    shutil.copy(ASTRONAUT, photos)
    start = start_with(copy, photos)
    assert start.files[start.content["items"][0]["photo"]] == photos / "astronaut.jpg"


def test_results_name_no_files_but_pictures(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(results, copy)
    sheet = copy / "astronaut.json"
    sheet.write_text(sheet.read_text().replace(str(ASTRONAUT), str(Path(__file__))))
    assert Path(__file__) not in start_with(copy).files


def test_an_evaluation_shows_its_worst_faces(tmp_path: Path) -> None:
    face = {"name": "a.jpg", "nme_percent": 9.5, "file": str(ASTRONAUT)}
    points = [[float(k), 2.0 * k] for k in range(68)]
    file = tmp_path / "accuracy.json"
    content = {"benchmark": "B", "worst": [face | {"truth": points, "landmarks": points}]}
    file.write_text(json.dumps(content))
    (shown,) = start_with(file).content["faces"]
    assert (shown["error"], shown["crop"]) == (9.5, 0)
    assert shown["truth"][:6] == [0, 0, 0, 1, 2, 0]
    file.write_text(json.dumps(content | {"worst": [{"name": "a"}]}))
    with pytest.raises(SynergyNetError, match="broken"):
        start_with(file)


def test_lines_of_a_film_find_it_beside_them(tmp_path: Path) -> None:
    lines = tmp_path / "talk.jsonl"
    lines.write_text('{"frame": 0, "time": 0, "width": 64, "height": 48, "faces": []}\n')
    assert start_with(lines).content["film"] is None
    (tmp_path / "talk.mp4").write_bytes(b"film")
    start = start_with(lines)
    assert start.files[start.content["film"]].name == "talk.mp4"


@pytest.mark.skipif(
    importlib.util.find_spec("starlette") is None, reason="the extra web is not installed"
)
@pytest.mark.parametrize("name", ["no.jpg", "empty", "notes.txt", "x.jsonl", "x.json"])
def test_what_cannot_be_shown_is_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name != "no.jpg":
        path.write_text("nothing")
    one_error(run("view", path, "--no-browser"), path if name != "x.json" else tmp_path)
