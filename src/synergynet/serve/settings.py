"""What a server allows."""

import ipaddress
from dataclasses import dataclass

from ..errors import SynergyNetError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]", "::1")


@dataclass(frozen=True)
class Settings:
    """Of ``synergynet serve``.

    Attributes:
        host: address to listen on.
        token: that requests have to bring; None for everyone on this machine.
        max_bytes: of a request.
        max_pixels: of a photo, checked before it is decoded.
        queue: photos that may wait for the network; more get 429.
        body_seconds: in which a request must have arrived.
        answer_seconds: in which an answer must be there.
        in_flight_bytes: of all requests that are being received or wait.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    max_bytes: int = 32 << 20
    max_pixels: int = 32_000_000
    queue: int = 64
    body_seconds: float = 20.0
    answer_seconds: float = 60.0
    in_flight_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise SynergyNetError(
                f"{self.host}: anyone in the network could reach this address; set a secret with "
                "--token or SYNERGYNET_TOKEN, which requests must bring, or listen on 127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """Whether an address or name can be reached from this machine alone."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
