"""What ``serve`` and ``view`` share."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from ..errors import SynergyNetError

PortOption = Annotated[
    int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")
]

_NEEDED = ("starlette", "uvicorn", "prometheus_client", "python_multipart")


def check_extra(command: str) -> None:
    """Raise SynergyNetError where the extra ``web`` is not installed."""
    if any(find_spec(name) is None for name in _NEEDED):
        raise SynergyNetError(
            f'synergynet {command} needs more packages: pip install "synergynet[web]"'
        )
