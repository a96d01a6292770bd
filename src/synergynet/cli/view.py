"""``synergynet view``: the page over a photo, results or a film."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from .web import PortOption, check_extra


def view(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A photo or film; a folder that 'infer' wrote; the .jsonl of 'video --json'; the "
            ".json of 'eval --json'. Nothing: the page alone.",
            show_default=False,
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the photos, or the film, where they are no longer where they were.",
            show_default=False,
        ),
    ] = None,
    port: PortOption = 0,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Look at a photo, at results, or at a film in the browser, on this machine alone.

    Ctrl-C ends.
    """
    check_extra("view")
    from ..serve.app import create_app
    from ..serve.pages import page_routes
    from ..serve.server import address_of, open_socket, run
    from ..serve.settings import Settings
    from ..serve.start import start_with

    start = None if source is None else start_with(source, photos)
    settings = Settings()
    listening = open_socket(settings.host, port)
    app = create_app(None, settings, page_routes(start))
    address = address_of(listening)

    def started() -> None:
        typer.echo(f"{address}  Ctrl-C ends")
        if browser:
            webbrowser.open(address)

    run(app, listening, started)
