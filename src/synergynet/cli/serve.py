"""``synergynet serve``: faces over HTTP, and a page that finds them in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import DeviceOption, QualityOption
from .web import PortOption, check_extra


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs --token.")
    ] = "127.0.0.1",
    port: PortOption = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SYNERGYNET_TOKEN",
            help="Secret that requests must bring: Authorization: Bearer TOKEN.",
            show_default=False,
        ),
    ] = None,
    quality: QualityOption = "default",
    device: DeviceOption = "cpu",
    queue: Annotated[
        int, typer.Option(min=1, help="Photos that may wait; more are answered with 429.")
    ] = 64,
    max_mb: Annotated[int, typer.Option(min=1, help="Megabytes of a request.")] = 32,
    max_megapixels: Annotated[float, typer.Option(min=0.01, help="Of a photo.")] = 32,
) -> None:
    """Answer photos with their faces: POST /v1/faces. The interface is described at /docs.

    The page at / finds faces in the browser itself: its photos are not sent here.
    SIGTERM and Ctrl-C answer what waits, then end.
    """
    check_extra("serve")
    from ..pipeline import FaceAnalyzer
    from ..serve.app import create_app
    from ..serve.pages import page_routes
    from ..serve.server import address_of, open_socket, run
    from ..serve.settings import Settings

    settings = Settings(
        host,
        token or None,
        max_bytes=max_mb << 20,
        max_pixels=int(max_megapixels * 1e6),
        queue=queue,
    )
    listening = open_socket(host, port)
    analyzer = FaceAnalyzer(quality=quality, device=device)
    app = create_app(analyzer, settings, page_routes())
    address = address_of(listening)

    def started() -> None:
        typer.echo(f"{address}  the page; {address}/docs  the interface; Ctrl-C ends")

    run(app, listening, started)
