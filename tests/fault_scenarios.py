"""Commands on small inputs, for :mod:`faults`. Networks and detectors are made up: quick, and safe
to copy with their process."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from faults import OUT, Scenario
from known_answers import SIZE, Scene, analyzer, place_picture, tracker
from small_models import make_tiny_model

from synergynet.cli.main import app

TINY = make_tiny_model()


def command(*arguments: object) -> None:
    with redirect_stdout(io.StringIO()):
        code = app([str(argument) for argument in arguments], standalone_mode=False)
    if code:
        raise SystemExit(code)


# --- infer


def _photos() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for name in "ab":
        cv2.imwrite(f"{name}.png", photo)


def _infer() -> None:
    from synergynet.jobs import batch, results, summary
    from synergynet.jobs.results import Wanted

    model = analyzer(TINY, (200, 150, 100))
    batch.load = lambda models: model  # type: ignore[assignment]
    wanted = Wanted(kinds=("landmarks",))
    job = batch.Job(batch.Models(), wanted, results.settings_of(wanted, model), resume=True)
    places = [(Path(f"{name}.png"), Path(OUT) / name) for name in "ab"]
    outcomes = dict(batch.run(job, places))
    summary.write_summary(Path(OUT) / "all.csv", (outcomes[i] for i in range(2)))


# --- video


def _clip() -> None:
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 25.0, SIZE[::-1])
    for shift in range(4):
        writer.write(np.roll(place_picture(), shift, 1))
    writer.release()
    Path(OUT).mkdir()


def _video() -> None:
    from synergynet.files.video import VideoSource
    from synergynet.jobs.videos import process_video

    scene = Scene(TINY, (200, 150, 100))
    source = VideoSource(Path("clip.avi"))
    process_video(
        source,
        tracker(scene, TINY),
        output=Path(OUT) / "v.avi",
        json_lines=Path(OUT) / "v.jsonl",
        draw=["landmarks"],
    )
    source.close()


# --- data


def _list_folder() -> None:
    from small_models import random_params

    from synergynet.datasets.readers.crop_list import label_whitening
    from synergynet.datasets.readers.list_folder import write_crop, write_list
    from synergynet.face_model.npz import save_npz

    source = Path("list")
    source.mkdir()
    rng = np.random.default_rng(0)
    names = [f"{i:02d}.jpg" for i in range(8)]
    for name in names:
        write_crop(source, name, rng.integers(0, 255, (120, 120, 3), dtype=np.uint8))
    raw = random_params(8, 1, spread=0.3)
    write_list(source, names, raw, label_whitening(raw))
    save_npz(TINY, source / "tiny.npz")


def _pack() -> None:
    command("data", "pack", "list", "-o", OUT, "--face-model", "list/tiny.npz", "--shard-size", 3)


def _photos_with_labels() -> None:
    from fake_photos import write_photo
    from small_models import write_official

    for number in range(3):
        write_photo(Path("photos"), f"p{number}", number)
    write_official(TINY, Path("3dmm_data"))


def _prepare() -> None:
    model = ("--face-model", "3dmm_data", "--bfm", "3dmm_data")
    command("data", "prepare", "photos", "--from", "300w-lp", "-o", OUT, *model, "--workers", 1)


def _synth() -> None:
    command("data", "synth", "-o", OUT, "-n", 3, "--workers", 1)


# --- train, convert, export


def _recipe() -> None:
    from training_recipe import write_recipe

    write_recipe(Path(), TINY)


def _train() -> None:
    import torch

    from synergynet.training.config import load_config
    from synergynet.training.run import Trainer

    torch.set_num_threads(1)
    steps = ["steps=3", f"output={OUT}", "validate_every=2"]
    Trainer(load_config("recipe.yaml", steps), lambda *_: None).run()


def _weights() -> None:
    import torch
    from small_models import random_net, torch_save, toy_face_model, toy_whitening

    torch.set_num_threads(1)
    torch_save(Path("net.pth.tar"), random_net(toy_face_model(), toy_whitening()))
    Path(OUT).mkdir()


def _convert() -> None:
    for name in ("a.safetensors", "a.ckpt", "a.pth.tar"):
        command("convert", "net.pth.tar", f"{OUT}/{name}")


def _export() -> None:
    command("export", "net.pth.tar", "-o", f"{OUT}/net.onnx")


SCENARIOS: dict[str, Any] = {
    "infer": Scenario(_photos, _infer),
    "video": Scenario(_clip, _video),
    "pack": Scenario(_list_folder, _pack),
    "prepare": Scenario(_photos_with_labels, _prepare),
    "synth": Scenario(lambda: None, _synth, ("0000000.npz",)),
    "train": Scenario(
        _recipe, _train, ("log.csv",), earlier=("last.safetensors", "best.safetensors")
    ),
    "convert": Scenario(_weights, _convert),
    "export": Scenario(_weights, _export, warm=False),
}
