"""What the server counts, in the format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        r = self.registry
        self.requests = Counter(
            "synergynet_requests", "Requests to /v1/faces by status.", ["status"], registry=r
        )
        self.seconds = Histogram(
            "synergynet_request_seconds",
            "From the request's arrival to its answer.",
            buckets=_SECONDS,
            registry=r,
        )
        self.faces = Counter("synergynet_faces", "Faces found.", registry=r)
        self.batch = Histogram(
            "synergynet_batch_photos",
            "Photos that were analysed together.",
            buckets=(1, 2, 4, 8, 16),
            registry=r,
        )
        self.waiting = Gauge("synergynet_queue_photos", "Photos that wait.", registry=r)
        self.in_flight = Gauge(
            "synergynet_in_flight_bytes", "Of requests being received or answered.", registry=r
        )

    def text(self) -> bytes:
        """Everything, as ``/metrics`` answers."""
        return generate_latest(self.registry)
