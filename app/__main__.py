"""``python -m app``: starts the page in the foreground until Ctrl-C or SIGTERM."""

import argparse
import logging
import os
import signal
import sys
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from app.settings import AppSettings

EPILOG = "example: python -m app --port 7860 --api-url http://127.0.0.1:8000"
# Gradio and its hub client would otherwise report home and ask for updates.
QUIET_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the page; the exit code is 0 after a clean stop, 1 when it cannot start."""
    settings = read_settings(arguments)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="offramp-page-") as folder:
        # Read by Gradio when it is imported, hence before `run_page` imports it.
        os.environ.update(QUIET_ENVIRONMENT, GRADIO_TEMP_DIR=folder)
        return run_page(settings, Path(folder), stop)


def read_settings(arguments: list[str] | None) -> AppSettings:
    """Settings from the environment, then the command line; wrong usage ends with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m app", description="The Offramp page.", epilog=EPILOG
    )
    for name in ("host", "port", "api_url"):
        field = AppSettings.model_fields[name]
        parser.add_argument(f"--{name.replace('_', '-')}", help=field.description)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value}
    try:
        return AppSettings(**given)
    except ValidationError as error:
        parser.error("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors()))


def run_page(settings: AppSettings, folder: Path, stop: threading.Event) -> int:
    """Serve the page until ``stop`` is set."""
    from app.client import Client
    from app.launch import launch_page
    from app.photos import copy_examples
    from app.ui import build_ui

    if settings.mcp and find_spec("mcp") is None:
        print("OFFRAMP_MCP needs the package mcp: pip install 'offramp[mcp]'", file=sys.stderr)
        return 1
    key = settings.api_key.get_secret_value() if settings.api_key else None
    with Client(settings.service_url, key, settings.request_timeout_s) as client:
        page = build_ui(client, copy_examples(folder / "examples"))
        try:
            address = launch_page(
                page, settings.host, settings.port, settings.max_upload_mib, settings.mcp
            )
        except OSError:
            print(
                f"the page cannot listen on {settings.host} port {settings.port}: the port is "
                "taken, or the address is not of this machine; choose others with --port, --host",
                file=sys.stderr,
            )
            return 1
        print(f"Offramp page: {address} (service: {settings.service_url})", flush=True)
        stop.wait()
        page.close(verbose=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
