"""Starting the page where it cannot start.

A coroutine for the reason given in ``test_ui``. Starting and stopping is tested in ``tests/e2e``.
"""

import threading
from pathlib import Path

import pytest

from app.__main__ import run_page
from app.settings import AppSettings


async def test_taken_port_is_said_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise OSError("Cannot find empty port in range: 7860-7860")

    monkeypatch.setattr("app.launch.launch_page", refuse)
    settings = AppSettings(host="127.0.0.1", port=7860, api_url="http://127.0.0.1:1")
    assert run_page(settings, tmp_path, threading.Event()) == 1
    assert "cannot listen on 127.0.0.1 port 7860: the port is taken" in capsys.readouterr().err
