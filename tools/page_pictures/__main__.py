"""``python -m tools.page_pictures``: the documentation's pictures, made from the real page.

Starts the service and the page on the shipped checkpoint, drives a headless Chromium through them,
and writes the pictures and, beside them, what the page says in each. With ``--page`` it takes a
page that runs already. Exit codes: 0 made, 1 not made, 2 wrong usage.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Error as BrowserError

from serve.cluster.ports import free_port
from tools.demo import HOST, Demo, DemoError, adopt_orphans, build_parts
from tools.page_pictures.images import TooLargeError, write_moving, write_still
from tools.page_pictures.scenes import Picture, take_pictures
from tools.page_pictures.visitor import BrowserMissingError, chromium

FOLDER = Path("docs/images")
SAID_NAME = "said.json"
EXAMPLE = "example: python -m tools.page_pictures --page http://127.0.0.1:7860"
FAILURES = (DemoError, BrowserError, BrowserMissingError, TooLargeError, OSError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all pictures; returns the exit code."""
    options = make_parser().parse_args(arguments)
    started = time.monotonic()
    try:
        if options.page:
            make_pictures(options.page, options.out)
        else:
            with_demo(lambda address: make_pictures(address, options.out))
    except FAILURES as error:
        print(f"page_pictures: {error}", file=sys.stderr)
        return 1
    print(f"made in {time.monotonic() - started:.0f} s", flush=True)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.page_pictures",
        epilog=EXAMPLE,
        description="Makes the documentation's pictures from the real page.",
    )
    parser.add_argument("--page", type=http_address, help="a page that runs; else one is started")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the pictures")
    return parser


def http_address(text: str) -> str:
    """The address of a page.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write http://HOST:PORT")
    return text


def with_demo(use: Callable[[str], None]) -> None:
    """Call ``use`` with the address of a page that lives as long as the call."""
    port, api_port = free_port(), free_port()
    demo = Demo(build_parts(port, api_port))
    # Both mean: stop now, also in the middle of a picture; the demo ends its parts on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    adopt_orphans()

    def announce() -> None:
        print(f"the page is ready at http://{HOST}:{port}", flush=True)
        use(f"http://{HOST}:{port}")
        demo.request_stop()

    print("starting the service and the page (under a minute)", flush=True)
    demo.run(announce)


def make_pictures(address: str, folder: Path) -> None:
    """Take and write every picture, and say so."""
    folder.mkdir(parents=True, exist_ok=True)
    said: dict[str, tuple[str, ...]] = {}
    with chromium() as browser:
        for picture in take_pictures(browser, address):
            path = folder / f"{picture.name}.webp"
            num_bytes = write(picture, path)
            print(f"  {path}  {num_bytes / 1000:.0f} kB", flush=True)
            said[picture.name] = picture.said
    text = json.dumps(said, indent=1, ensure_ascii=False)
    (folder / SAID_NAME).write_text(f"{text}\n", encoding="utf-8")


def write(picture: Picture, path: Path) -> int:
    """Write one picture; returns its size in bytes."""
    if len(picture.frames) > 1:
        return write_moving(picture.frames, path)
    return write_still(picture.frames[0].image, path)


if __name__ == "__main__":
    sys.exit(main())
