"""``synergynet train``: run or resume a training."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from ..errors import SynergyNetError

_FRAMEWORKS = {
    "torch": 'training needs PyTorch: pip install "synergynet[train]"',
    "mindspore": "backend: mindspore needs MindSpore, in an environment of its own "
    "(docs/mindspore.md)",
}


def train(
    config: Annotated[Path, typer.Argument(help="YAML file, e.g. configs/open_head/...yaml")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value settings, e.g. steps=100 output=runs/a")
    ] = None,
    pack_state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Train nothing: write the state to resume from in less than half its size, "
            "to carry it elsewhere as last.safetensors.",
        ),
    ] = None,
) -> None:
    """Train a network; run the same command again to go on where it stopped."""
    from rich.console import Console

    from ..training.config import load_config
    from .progress import progress_bar
    from .sections import read_sections

    settings = load_config(config, overrides)
    read_sections(settings, config)
    if importlib.util.find_spec(settings.backend) is None:
        raise SynergyNetError(_FRAMEWORKS[settings.backend])
    if pack_state is not None:
        from ..training.torch.state import pack_state as pack

        pack(settings.output / "last.safetensors", pack_state)
        return
    from ..training.run import Trainer

    trainer = Trainer(settings)
    console = Console(quiet=not trainer.backend.world.main)  # of several processes, one talks
    if trainer.backend.advice:
        console.print(trainer.backend.advice, soft_wrap=True)
    if trainer.step:
        console.print(f"going on from step {trainer.step} of {trainer.state_file}")
    console.print(
        f"{len(trainer.train_crops)} crops to train on, {len(trainer.valid_crops)} held back"
    )
    with progress_bar("training", console) as bar:
        task = bar.add_task("train", total=trainer.steps, completed=trainer.step, note="")

        def show(step: int, _total: int, numbers: dict[str, float]) -> None:
            if "valid_nme" in numbers:
                bar.console.print(
                    f"step {step}: validation NME {numbers['valid_nme']:.3f} % "
                    f"(mean of yaw bins {numbers['valid_nme_balanced']:.3f} %), "
                    f"MAE {numbers['valid_mae']:.3f} degrees"
                )
                return
            note = (
                f"loss {numbers['loss_total']:.4f}, {numbers['crops_per_second']:.0f} crops/s, "
                f"{100 * numbers['data_wait']:.0f} % waiting for crops"
            )
            bar.update(task, completed=step, note=note)

        trainer.progress = show
        result = trainer.run()
    trainer.backend.world.close()
    console.print(
        f"done: validation NME {result.nme:.3f} %, MAE {result.mae:.3f} degrees; "
        f"best weights in {trainer.best_file}",
        soft_wrap=True,
    )
