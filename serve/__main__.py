"""``python -m serve``: the service on this machine, in the foreground until Ctrl-C.

Starts Ray, the embedded result cache (unless REDIS_URL names one) and the deployment; prints the
address when requests are answered; stops all of it on SIGINT and SIGTERM. Exit codes: 0 stopped,
1 could not start, 2 wrong usage or configuration. ``caption-folder`` is a job instead of a service.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from pydantic import ValidationError

from model_core.config import CONFIG_ROOT, describe_validation_error
from model_core.errors import ConfigError, OfframpError
from serve.commands import caption_folder
from serve.settings import ServeSettings, prepare_environment
from serve.telemetry.logs import configure_logging

logger = logging.getLogger("serve")

DEFAULT_CONFIG = CONFIG_ROOT / "serve" / "cpu.yaml"
EXAMPLE = (
    "example: python -m serve --config configs/serve/cpu.yaml --set api_port=8001; "
    "captions of a folder without the service: python -m serve caption-folder --help"
)


@dataclass(frozen=True)
class ServeFile:
    """What a Ray Serve configuration file says.

    Attributes:
        values: Fields of ``ServeSettings``: the application's ``args``, and the HTTP address.
        options: Options of the deployment.
    """

    values: dict[str, Any]
    options: dict[str, Any]


def read_serve_file(path: Path) -> ServeFile:
    """The settings and deployment options in a file that ``serve run`` takes too.

    Raises:
        ConfigError: The file is missing, is not YAML, or is not a Serve configuration of one
            application.
    """
    # Ray takes seconds to import: wrong usage should be told before that.
    from ray.serve.schema import ServeDeploySchema

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        schema = ServeDeploySchema.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe_validation_error(error)}") from error
    if len(schema.applications) != 1:
        raise ConfigError(f"{path}: must name one application, has {len(schema.applications)}")
    application = schema.applications[0]
    http = schema.http_options
    values = {"api_host": http.host, "api_port": http.port, **application.args}
    options: dict[str, Any] = {}
    for deployment in application.deployments:
        options = deployment.model_dump(exclude_unset=True, exclude={"name"})
    return ServeFile(values, options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the service, or the command that comes first; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == [caption_folder.COMMAND]:
        return caption_folder.main(arguments[1:])
    options = _make_parser().parse_args(arguments)
    prepare_environment(CONFIG_ROOT.parent)
    try:
        file = read_serve_file(options.config)
        settings = ServeSettings.resolve(file.values, options.set)
        settings.read_api_keys()
        settings.read_redis_url()
    except ConfigError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 2
    configure_logging(settings)
    return _run(settings, file.options)


def _run(settings: ServeSettings, options: dict[str, Any]) -> int:
    from serve.cluster.local_cluster import LocalCluster, StartupError

    is_stopping = threading.Event()
    try:
        _stop_with(_interrupt)
        with LocalCluster(settings, options, lambda: _stop_with(_interrupt)) as cluster:
            _stop_with(lambda *_: is_stopping.set())
            address = cluster.address
            print(f"Offramp API: {address} (described in {address}/openapi.json)", flush=True)
            is_stopping.wait()
            print("Offramp API: stopping", flush=True)
    except (KeyboardInterrupt, SystemExit):
        # The second is what Ray's own handler raises while Ray starts.
        return 0
    except (StartupError, OfframpError) as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    return 0


def _stop_with(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serve", description="Serves captions and entailment over HTTP.",
        epilog=EXAMPLE,
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE",
        help="a Ray Serve configuration file (default: configs/serve/cpu.yaml)",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="a field of the settings; may be given more than once",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
