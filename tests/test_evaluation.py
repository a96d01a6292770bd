"""Evaluation: hand-made cases, the golden numbers, networks, the command and its lines."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from rich.console import Console
from small_models import FakeRegressor
from typer.testing import CliRunner

from synergynet.cli.eval import evaluate
from synergynet.datasets.readers.aflw2000_crops import load_aflw2000
from synergynet.errors import SynergyNetError
from synergynet.evaluation import (
    BinnedNme,
    EulerMae,
    EvaluationResult,
    draw_worst,
    evaluate_params,
    evaluate_regressor,
    metrics,
    print_result,
)
from synergynet.evaluation.metrics import break_down
from synergynet.face_model.npz import load_npz, save_npz

SEED_LINES = """\
Facial Alignment on AFLW2000-3D(NME):
[ 0, 30] Mean:2.656 Std:1.194
[30, 60] Mean:3.316 Std:1.924
[60, 90] Mean:4.268 Std:2.569
[ 0, 90] Mean:3.413 Std:0.662
Face orientation estimation:
Mean MAE = 3.388 (in deg), [yaw,pitch,roll] = [3.566, 4.059, 2.539]
"""
LINE = re.compile(r"^\[[ \d]{2}, \d{2}\] Mean:\d+\.\d{3} Std:\d+\.\d{3}$")


def seed_result() -> EvaluationResult:
    nme = BinnedNme((2.656, 3.316, 4.268), (1.194, 1.924, 2.569))
    wide = BinnedNme((12.656, 123.316, 14.268), (11.194, 101.924, 12.569))
    euler = EulerMae(images=1969, yaw=3.566, pitch=4.059, roll=2.539)
    return EvaluationResult(
        weights="best.pth.tar",
        face_model="[red]bfm",
        face_model_hash="0" * 64,
        frame="protocol",
        border=5,
        mirror=False,
        images=2000,
        bin_images=(1312, 383, 305),
        seconds=1.5,
        nme_official={"ori": nme, "re": wide},
        nme_exact={"ori": nme, "re": wide},
        euler_official=euler,
        euler_exact=euler,
    )


# --- metrics by hand -----------------------------------------------------------------------


def test_nme_by_hand() -> None:
    truth = np.zeros((2, 3, 68))
    truth[:, 0, 0], truth[:, 1, 1] = 40, 10  # box 40 x 10: sqrt(400) = 20
    predicted = np.swapaxes(truth, 1, 2).copy()
    predicted[0, :, :2] += [3, 4]  # every point 5 pixels off
    predicted[:, :, 2] = 1e6  # depth does not count
    np.testing.assert_allclose(metrics.nme(predicted, truth), [0.25, 0])
    with pytest.raises(ValueError, match="shape"):
        metrics.nme(predicted[:, :67], truth)


def test_bins_and_their_statistics() -> None:
    yaw = [0, 30, -30, 30.001, -60, 60.5, -95, 187]
    np.testing.assert_array_equal(metrics.yaw_bins(yaw), [0, 0, 0, 1, 1, 2, 2, 2])
    result = metrics.binned_nme([0.01, 0.02, 0.03, 0.02, 0.04, 0.05, 0.05, 0.05], yaw)
    assert result.means == pytest.approx((2, 3, 5))
    assert result.stds == pytest.approx((np.sqrt(2 / 3), 1, 0))
    assert result.mean == pytest.approx(10 / 3)
    assert result.std == pytest.approx(np.std([2, 3, 5]))
    with pytest.raises(SynergyNetError, match="60-90"):
        metrics.binned_nme([0.1, 0.1], [0, 45])


def test_euler_mae_by_hand() -> None:
    mae = metrics.euler_mae([[1, 2, 3], [-1, -4, 179]], [[0, 0, 0], [0, 0, -179]])
    assert (mae.pitch, mae.yaw, mae.roll) == (1, 3, (3 + 358) / 2)  # no wrap-around
    assert mae.images == 2 and mae.mean == pytest.approx((1 + 3 + 180.5) / 3)


# --- the golden numbers --------------------------------------------------------------------


def assert_rows_equal(found: dict, expected: dict) -> None:
    for key, value in expected.items():
        if isinstance(value, dict):
            assert_rows_equal(found[key], value)
        else:
            assert round(found[key], 3) == value, key


@pytest.mark.parametrize("frame", ["protocol", "pixel"])
def test_golden_numbers(shared_data: Path, bfm, frame) -> None:
    golden = shared_data / "golden"
    expected = json.loads((golden / "expected.json").read_text())
    raw = np.load(golden / expected["predictions"], allow_pickle=False)
    before = raw.copy()
    data = load_aflw2000(shared_data / "aflw2000_data")
    result = evaluate_params(data, raw, bfm, frame)
    found = result.to_json()
    for key, value in expected[f"frame_{frame}"].items():
        if key != "about":
            assert_rows_equal(found[key], value)
    assert_rows_equal(found["euler_mae_degrees"], expected["euler_mae_degrees"])
    assert result.bin_images == (1312, 383, 305) and result.images == 2000
    np.testing.assert_array_equal(raw, before)


def test_protocol_network_differs_in_the_exact_frame_on_clipped_images_only(small) -> None:
    data, points = small.dataset, np.random.default_rng(0).uniform(0, 120, (len(small.raw), 68, 3))
    official = metrics.official_photo_points(points, "protocol", data.roi)
    exact = metrics.exact_photo_points(points, "protocol", data.roi_unclipped)
    clipped = (data.roi != data.roi_unclipped).any(axis=1)
    assert 0 < clipped.sum() < len(clipped)
    np.testing.assert_allclose(official[~clipped, :, :2], exact[~clipped, :, :2])
    assert np.abs(official[clipped, :, :2] - exact[clipped, :, :2]).max() > 1


# --- whole evaluations on a small benchmark -------------------------------------------------


def test_perfect_answers_have_no_error_in_the_exact_frame(small, tiny_model) -> None:
    result = evaluate_params(small.dataset, small.raw, tiny_model, "pixel")
    assert max(result.nme_exact["ori"].means) < 1e-4
    assert 0 < max(result.nme_exact["re"].means) < 1  # rounded to whole pixels
    assert result.euler_exact.mean < 1e-4 and result.euler_exact.images == 10
    assert result.nme_official["ori"].mean > 1e-3  # the stored boxes are clipped


def test_regressor_equals_its_parameters(small, tiny_model) -> None:
    regressor = FakeRegressor(small.raw, tiny_model, border=5)
    result = evaluate_regressor(small.dataset, regressor, tiny_model, batch_size=5)
    direct = evaluate_params(small.dataset, small.raw, tiny_model, "pixel")
    for truth in ("ori", "re"):
        np.testing.assert_allclose(
            result.nme_exact[truth].means, direct.nme_exact[truth].means, atol=1e-9
        )
    assert result.euler_exact.mean == pytest.approx(direct.euler_exact.mean, abs=1e-9)
    assert (result.border, result.frame, result.mirror) == (5, "pixel", False)
    assert regressor.seen == [5, 5, 2] and regressor.border_was_zero


@pytest.mark.parametrize("frame", ["pixel", "protocol"])
def test_mirrored_crops_average_to_the_same_answer(small, tiny_model, frame) -> None:
    regressor = FakeRegressor(small.raw, tiny_model, frame=frame)
    plain = evaluate_regressor(small.dataset, regressor, tiny_model)
    result = evaluate_regressor(small.dataset, regressor, tiny_model, mirror=True)
    assert result.mirror and sum(regressor.seen) == 3 * len(small.dataset)
    assert result.euler_exact.mean == pytest.approx(plain.euler_exact.mean, abs=1e-4)
    for truth in ("ori", "re"):
        assert result.nme_exact[truth].means == pytest.approx(
            plain.nme_exact[truth].means, abs=1e-3
        )


def test_foreign_face_model_and_bad_answers(small, tiny_model) -> None:
    other = replace(tiny_model, name="other", mean=tiny_model.mean + 1)
    with pytest.raises(SynergyNetError, match=r"'tiny'.*'other'"):
        evaluate_regressor(small.dataset, FakeRegressor(small.raw, tiny_model), other)
    bad = small.raw.copy()
    bad[3, 20] = np.nan
    for raw, message in (
        (bad, "not finite"),
        (small.raw[:-1], r"\(11, 62\), expected \(12, 62\)"),
        (np.zeros((12, 102)), r"\(12, 102\)"),
        (np.zeros((12, 62)), "decode to no face"),
        (np.full((12, 62), 1e300), "decode to no face"),
    ):
        with pytest.raises(SynergyNetError, match=message):
            evaluate_params(small.dataset, raw, tiny_model, "pixel")


# --- printing and JSON ----------------------------------------------------------------------


def test_published_lines_are_the_seeds(tmp_path: Path) -> None:
    assert "\n".join(seed_result().published_lines()) + "\n" == SEED_LINES
    for width in (40, 80, 200):
        with (tmp_path / "out").open("w+", encoding="utf-8") as stream:
            print_result(seed_result(), Console(file=stream, width=width))
            stream.seek(0)
            text = stream.read()
        assert text.startswith(SEED_LINES + "\n")
        assert "…" not in text and "123.316 (101.924)" in text and "[red]bfm" in text
        assert max(map(len, text.splitlines())) <= 100


def test_json_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    seed_result().write_json(target)
    found = json.loads(target.read_text())
    assert found == seed_result().to_json()
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert found["nme_percent"]["ori"] == {
        "0-30": 2.656, "30-60": 3.316, "60-90": 4.268, "mean": pytest.approx(3.413333)
    }  # fmt: skip
    assert found["nme_percent_std"]["ori"]["mean"] == pytest.approx(0.662, abs=5e-4)
    with pytest.raises(SynergyNetError, match=r"nowhere does not exist"):
        seed_result().write_json(tmp_path / "nowhere" / "x.json")


# --- the command ----------------------------------------------------------------------------


@pytest.fixture
def run(small, tiny_model, tmp_path):
    """Run the command on the small benchmark with the parameters and model in files."""
    save_npz(tiny_model, tmp_path / "tiny.npz")
    np.save(tmp_path / "raw.npy", small.raw)
    app = typer.Typer()
    app.command()(evaluate)

    def call(*arguments: str, params: bool = True):
        given = ["--root", str(small.root)]
        if params:
            given += ["--params", str(tmp_path / "raw.npy")]
            given += ["--face-model", str(tmp_path / "tiny.npz")]
        return CliRunner().invoke(app, [*given, *arguments])

    return call


def test_command_with_parameters(run, tmp_path) -> None:
    result = run("--frame", "pixel", "--json", str(tmp_path / "out.json"))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "Facial Alignment on AFLW2000-3D(NME):"
    assert all(LINE.match(line) for line in lines[1:5])
    assert lines[5] == "Face orientation estimation:"
    assert re.match(
        r"^Mean MAE = \d+\.\d{3} \(in deg\), \[yaw,pitch,roll\] = \[(\d+\.\d{3}, ){2}\d+\.\d{3}\]$",
        lines[6],
    )
    assert "not comparable with published tables" in result.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["images"] == 12 and found["frame"] == "pixel" and found["face_model"] == "tiny"


def test_command_runs_a_network(run, small, tmp_path, monkeypatch) -> None:
    import synergynet.regression

    model = str(tmp_path / "tiny.npz")
    fake = FakeRegressor(small.raw, load_npz(model), frame="protocol")
    monkeypatch.setattr(synergynet.regression, "load_regressor", lambda weights: fake)
    out = tmp_path / "out.json"
    result = run("--face-model", model, "--mirror", "--json", str(out), params=False)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["mirror"] is True
    fake.face_model = load_npz(model)  # a checkpoint that carries its own
    assert run("--weights", "w.pth.tar", params=False).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "params", "message"),
    [
        (["--weights", "w.onnx"], True, "exclude each other"),
        (["--mirror"], True, "--mirror needs a network"),
        (["--frame", "pixel"], False, "--frame belongs to --params"),
        (["--json", "/nowhere/at/all.json"], True, "folder does not exist"),
        (["--params", "absent.npy"], False, "no such file"),
        (["--face-model", "absent"], True, "no such face model"),
    ],
)
def test_command_refuses(run, arguments, params, message) -> None:
    given = run(*arguments, params=params)
    assert given.exit_code != 0
    assert isinstance(given.exception, SynergyNetError)
    assert message in str(given.exception)


def test_groups_by_hand() -> None:
    values = {
        "yaw": np.array([-14.0, 15, 90, 95]),  # the last is beyond every group
        "pitch": np.array([5.0, np.nan, 10, 29.9]),
    }
    angles = np.array([[1.0, 2, 3], [np.nan] * 3, [3, 3, 3], [9, 9, 9]])
    found = break_down(values, np.array([1.0, 2, 4, 8]), angles)
    rows = [(g.name, g.low, g.high, g.images, g.nme, g.mae) for g in found]
    assert rows[0] == ("yaw", 0, 15, 1, 1.0, 2.0)
    assert rows[1][:5] == ("yaw", 15, 30, 1, 2.0) and np.isnan(rows[1][5])
    assert rows[2] == ("yaw", 75, 90, 1, 4.0, 3.0)
    assert rows[3:] == [
        ("pitch", 0, 10, 1, 1.0, 2.0),
        ("pitch", 10, 20, 1, 4.0, 3.0),
        ("pitch", 20, 30, 1, 8.0, 9.0),
    ]


def test_groups_and_worst_faces_of_a_network(small, tiny_model, tmp_path: Path) -> None:
    """Face 5 is answered with everything moved by 6 pixels, and drawn first."""
    raw = small.raw.copy()
    raw[5, 3] += 6
    result = evaluate_params(small.dataset, raw, tiny_model, "pixel")
    faces = result.faces
    assert faces is not None and faces.worst(2)[0] == 5
    offset = faces.landmarks[5, :, :2] - faces.truth[5, :, :2]
    np.testing.assert_allclose(offset, np.tile([6.0, 0], (68, 1)), atol=0.02)
    np.testing.assert_allclose(
        np.delete(faces.landmarks - faces.truth, 5, 0)[..., :2], 0, atol=0.02
    )
    by_yaw = [g for g in result.groups if g.name == "yaw"]
    assert sum(g.images for g in by_yaw) == np.sum(np.abs(small.dataset.yaw) <= 90)
    stored = json.loads(json.dumps(result.to_json()))["groups"]
    assert len(stored) == len(result.groups) and stored[0]["by"] == "yaw"

    draw_worst(small.dataset, result, tmp_path / "worst.png", count=9)
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    assert sheet.shape == (480, 8 * 240, 3)
    points = ((faces.truth[5, :, :2] - 0.5) * 2 - 0.5).round().astype(int)
    inside = points[(points >= 0).all(axis=1) & (points < 240).all(axis=1)]
    red = sheet[inside[:, 1], inside[:, 0]]
    assert (red[:, 2] > 200).mean() > 0.5 and len(inside) > 20
    output = io.StringIO()
    print_result(result, Console(file=output), groups=True)
    assert "Where the errors are" in output.getvalue() and "face size, pixels" in output.getvalue()


def test_worst_needs_a_picture_name_and_a_folder(small, tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "a.txt", "ends in .png"),
        (tmp_path / "no" / "a.png", "folder"),
    ):
        with pytest.raises(SynergyNetError, match=message):
            evaluate(root=small.root, worst=path)
