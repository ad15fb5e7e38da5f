"""Metrics on a port of the replica's own, so that each replica can be scraped by itself.

The API's port leads to any replica; this one leads to one. Replicas of one machine take the first
free ports from ``metrics_port`` on, and a replica that ends leaves its port to the next.
"""

import logging
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from serve.telemetry.metrics import ServiceMetrics

logger = logging.getLogger(__name__)

MAX_REPLICAS = 64


def start_metrics_server(metrics: ServiceMetrics, host: str, first_port: int) -> WSGIServer | None:
    """A server of ``metrics`` in a thread of its own; None, with a warning, if no port is free."""
    for port in range(first_port, first_port + MAX_REPLICAS):
        try:
            server, _ = start_http_server(port, host, metrics.collector)
        except OSError:
            continue
        logger.info("metrics of this replica: port %d of %s", port, host)
        return server
    logger.warning(
        "metrics_port: none of %d ports from %d on is free at %s; /metrics of the API goes on",
        MAX_REPLICAS, first_port, host,
    )  # fmt: skip
    return None
