"""What the four commands of this folder share."""

import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]


def open_door(command: str) -> None:
    """Run one of the toolkit's commands with the arguments of the process."""
    try:
        from synergynet.cli.toolkit import run
    except ModuleNotFoundError as error:
        sys.exit(f'error: {error.name} is not installed; run: pip install "{CLONE}[train]"')
    run(command, CLONE)
