"""``make bench``: its arithmetic on made-up numbers, its photos, its processes, and a short run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import REPO

from synergynet import SynergyNetError
from synergynet.geometry.crops import CropBox

TOOLS = REPO / "tools"
PARTS = ("bars", "canvases", "contest", "environments", "floor", "report", "samples", "worker")
PHOTO, MESH = "1 face, 640 px", "MediaPipe FaceMesh, photo"
SERVES = """
import sys
sys.path[:0] = [{bench!r}, {tools!r}]
from harness.ends.serving import THREADS, serve
def good(number, **how):
    print("noise")
    return {{"ms": [number], "found": THREADS}}
def bad(**how):
    raise ValueError("two\\nlines")
serve({{"good": good, "bad": bad, "end": lambda: sys.exit(1)}})
"""


@pytest.fixture
def harness(monkeypatch) -> SimpleNamespace:
    for folder in (TOOLS, TOOLS / "bench"):
        monkeypatch.syspath_prepend(str(folder))
    return SimpleNamespace(**{p: importlib.import_module(f"harness.{p}") for p in PARTS})


def ms(median: float) -> dict[str, float]:
    return {"median": median, "p95": 1.5 * median, "least": median, "n": 9}


def end(name: str, *rounds: float, found: int = 1) -> dict[str, object]:
    return {"end": name, "found": found, "ms": ms(rounds[0]), "rounds_ms": [*rounds]}


def made_up() -> dict[str, object]:
    """``fast`` takes half of MediaPipe's time and ``default`` three times as much."""
    one = [
        end("synergynet fast", 4.0, 5.0, 40.0),
        end("synergynet default", 24.0, 30.0, 240.0),
        end("synergynet fast, dense", 5.0, 5.0, 50.0),
        end(MESH, 8.0, 10.0, 80.0),
        end("official path", 150.0, 150.0, 1500.0),
    ]
    ten = [end("synergynet fast", 30.0, found=9), end("synergynet default", 30.0, found=10)]
    case = {"size": (640, 640), "threads": 2}
    phase = {"quality": "fast", "faces": 1, "side": 640, "threads": 2}
    return {
        "when": "today",
        "machine": {
            "processor": "a processor",
            "processors": 2,
            "load": 0.5,
            "system": "a system",
            "python": "3.12.0",
            "libraries": {"numpy": "2.0"},
        },
        "notes": ["something is missing"],
        "peaks": {2: {"multiply_adds": 50.0, "bytes": 10.0}},
        "comparisons": [
            {"case": PHOTO, "faces": 1, **case, "ends": one},
            {"case": "10 faces, 640 px", "faces": 10, **case, "ends": ten},
        ],
        "whole_photos": [
            {
                "quality": "fast",
                "photo": "10 faces, 640 px",
                "size": (640, 640),
                "faces": 10,
                "found": 9,
                "threads": 2,
                "ms": ms(12.0),
            }
        ],
        "phases": [
            {
                **phase,
                "phase": "detection",
                "ms": ms(8.0),
                "work": {"multiply_adds": 1e8, "bytes": 1e6},
            }
        ],
        "known_boxes": [
            {"quality": "fast", "faces": 64, "dense": d, "threads": 2, "ms_per_face": ms(0.5)}
            for d in (False, True)
        ],
        "videos": [{"what": "as given", "frames": 50, "frames_per_second": [200.0, 300.0, 260.0]}],
        "cold_start": [{"what": "import synergynet", "ms": ms(75.0)}],
        "first_answers": [{"end": "a", "photo": PHOTO, "peak_mb": None, "ms": ms(500.0)}],
    }


def test_a_ratio_is_of_rounds_so_that_what_disturbs_both_cancels(harness) -> None:
    disturbed = harness.samples.ratio([10, 12, 90], [5, 6, 45])
    assert disturbed == {"ratio": 2.0, "low": 2.0, "high": 2.0}
    spread = harness.samples.ratio(np.arange(1, 102), np.ones(101))
    assert spread == {"ratio": 51.0, "low": 6.0, "high": 96.0}
    with pytest.raises(ValueError, match="2 rounds of one and 1"):
        harness.samples.ratio([1, 2], [1])


def test_a_summary_is_robust(harness) -> None:
    found = harness.samples.summary([1.0, 2.0, 3.0, 4.0, 1000.0])
    assert found["median"] == 3.0 and found["least"] == 1.0 and found["n"] == 5


def test_the_floor_is_the_longer_of_arithmetic_and_bytes(harness) -> None:
    peaks = harness.floor.Peaks(multiply_adds=50.0, bytes=10.0)  # G in a second
    assert harness.floor.floor_ms({"multiply_adds": 1e8, "bytes": 1e6}, peaks) == {
        "ms": 2.0,
        "bound": "arithmetic",
    }
    assert harness.floor.floor_ms({"multiply_adds": 0, "bytes": 1e8}, peaks) == {
        "ms": 10.0,
        "bound": "bytes",
    }
    disturbed = {1: harness.floor.Peaks(40.0, 12.0), 2: harness.floor.Peaks(30.0, 9.0)}
    better = harness.floor.best_peaks(disturbed, {1: peaks, 2: harness.floor.Peaks(90.0, 9.0)})
    assert better == {1: harness.floor.Peaks(50.0, 12.0), 2: harness.floor.Peaks(90.0, 12.0)}


def test_every_bar_is_met_missed_or_not_measured(harness) -> None:
    result = made_up()
    bars = {b.what: b for b in harness.bars.judge(result, "10 faces, 640 px")}
    assert len(bars) == 15
    told = {what: harness.report.verdict(bar) for what, bar in bars.items()}
    assert told[f"{PHOTO}: fast over {MESH}"] == "met"
    assert bars[f"{PHOTO}: fast over {MESH}"].of_limit == 0.5
    assert told[f"{PHOTO}: default over {MESH}"] == "**missed**"
    official = f"{PHOTO}: official path over fast, dense vertices on both sides"
    assert bars[official].of_limit == 1.5 and told[official] == "met"
    assert told[official.replace(PHOTO, "8 faces, 640 px")] == "not measured"
    assert told["10 faces, 640 px: fast"] == "**missed**"
    assert told["10 faces, 640 px: found by fast"] == "**missed**"
    assert told["10 faces, 640 px: default"] == told["10 faces, 640 px: found by default"] == "met"
    assert told["known box to landmarks and pose, fast, 1 face: each"] == "not measured"
    assert told["known box to dense vertices, fast, 64 faces: each"] == "met"
    assert bars["video of one face, 640 x 480, JSON only"].value == 260.0
    assert told["new process: import synergynet"] == "met"
    assert told["new process: first face"] == "not measured"


def test_the_page_tells_all_of_it(harness) -> None:
    result = made_up()
    bars = harness.bars.judge(result, "10 faces, 640 px")
    harness.floor.add_floors(result["phases"], {2: harness.floor.Peaks(50.0, 10.0)})
    page = harness.report.write_report(result, bars, ["fast", "default"])
    for line in (
        "- something is missing",
        f"| {PHOTO}: fast over {MESH} | <= 1 times | 0.50 (0.50 to 0.50) | 0.50 | met |",
        f"| {MESH} | 1 of 1 | 8 / 12 | 2.00 (2.00 to 2.00) | 0.33 (0.33 to 0.33) |",
        "| synergynet fast | 9 of 10 | 30 / 45 |  | 1.00 (1.00 to 1.00) |",
        "| fast | 10 | 12 / 18, found 9 |",
        "| detection | fast | 8 / 12 / 2 |",
        "| a | 1 face, 640 px | 0.500 / 0.750 |  |",
    ):
        assert line in page.splitlines()
    json.dumps(result | {"bars": [bar.as_row() for bar in bars]}, allow_nan=False)


def test_copies_of_a_face_lie_where_their_boxes_say(harness) -> None:
    photo = np.full((200, 160, 3), 40, np.uint8)
    crop = CropBox(49.5, 29.5, 60)
    photo[58:63, 78:83] = 255  # at its centre
    for faces, side in (1, 100), (2, 300), (10, 500), (64, 900):
        canvas, boxes = harness.canvases.paste_faces(
            harness.canvases.Source(photo, crop), faces, side
        )
        assert canvas.shape == (side, side, 3) and len(boxes) == faces
        for box in boxes:
            x, y = (round(v) for v in box.center)
            near = canvas[y - 1 : y + 2, x - 1 : x + 2].max()
            assert near > canvas[y, int(box.left + 0.25 * box.side)].max() + 50


def test_a_worker_answers_says_its_errors_and_may_end(harness, tmp_path) -> None:
    script = tmp_path / "end.py"
    script.write_text(SERVES.format(bench=str(TOOLS / "bench"), tools=str(TOOLS)))
    with harness.worker.Worker(str(script), 1, tmp_path / "log.txt") as worker:
        answer = worker.ask({"task": "good", "number": 3})
        assert answer["ms"] == [3] and answer["found"] == 1
        assert answer["peak_mb"] is None or 5 < answer["peak_mb"] < 500
        with pytest.raises(harness.worker.WorkerError, match="ValueError: two lines"):
            worker.ask({"task": "bad"})
        with pytest.raises(harness.worker.WorkerError, match="noise"):
            worker.ask({"task": "end"})


def test_ends_that_fail_are_left_out_of_a_comparison_with_a_note(harness, tmp_path) -> None:
    script, notes = tmp_path / "end.py", []
    script.write_text(SERVES.format(bench=str(TOOLS / "bench"), tools=str(TOOLS)))
    with harness.worker.Worker(str(script), 1, tmp_path / "log.txt") as worker:
        requests = {"a": ("good", 3), "b": ("bad", 0), "c": ("good", 6)}
        ends = [
            harness.contest.End(name, worker, {"task": task, "number": number})
            for name, (task, number) in requests.items()
        ]
        rows = harness.contest.as_rows(harness.contest.compare(ends, 3, 0.0, 60.0, notes))
    assert [row["end"] for row in rows] == ["a", "c"] and rows[0]["rounds_ms"] == [3, 3, 3]
    assert harness.contest.ratio_of(rows, "c", "a")["ratio"] == 2
    assert harness.contest.ratio_of(rows, "b", "a") is None
    assert len(notes) == 1 and notes[0].startswith("b was left out: ")


def test_a_rival_without_a_python_is_said_in_one_sentence(harness, tmp_path) -> None:
    rival = harness.environments.Rival("none", "none.py", ("none",), ((2, 5), (2, 6)))
    with pytest.raises(SynergyNetError, match=r"no Python from 2\.5 to 2\.6"):
        harness.environments.install(rival, tmp_path)


def test_multiply_adds_are_those_of_the_documentation(harness) -> None:
    data = REPO / "src" / "synergynet" / "regression" / "data" / "default.onnx"
    pytest.importorskip("onnx", reason="reads the graph")
    work = importlib.import_module("harness.graphs").work_of(
        str(data), (("crops", (2, 3, 120, 120)),)
    )
    assert work.multiply_adds == pytest.approx(2 * 120.6e6, rel=0.001)


def test_the_official_detector_has_its_size(harness) -> None:
    pytest.importorskip("torch", reason="runs the network")
    faceboxes = importlib.import_module("harness.ends.faceboxes")
    network = faceboxes.FaceBoxesNet().eval()
    assert sum(t.numel() for t in network.state_dict().values()) == 1_010_317
    faceboxes.look(network, np.zeros((1500, 800, 3), np.uint8))


@pytest.mark.slow
def test_a_short_run_writes_both_files(tmp_path) -> None:
    script, output = TOOLS / "bench" / "speed.py", tmp_path / "bench"
    options = ["--quick", "--no-rivals", "--no-official", "--rounds", "1", "--quality", "fast"]
    done = subprocess.run(
        [sys.executable, str(script), *options, "-o", str(output)],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((output / "speed.json").read_text("utf-8"))
    assert result["schema"] == 1 and result["notes"] == []
    assert (output / "speed.md").read_text("utf-8").strip() == done.stdout.strip()
    rows = result["phases"]
    assert all(row["floor"]["ms"] < row["ms"]["p95"] for row in rows if row["phase"] == "detection")
    assert {"speed.json", "speed.md"} == {path.name for path in output.iterdir()}
