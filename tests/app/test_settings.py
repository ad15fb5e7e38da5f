"""Settings of the page from the environment and the command line."""

import pytest

from app.__main__ import read_settings
from app.settings import AppSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AppSettings.model_fields:
        monkeypatch.delenv(f"OFFRAMP_{name.upper()}", raising=False)


def test_service_is_on_this_machine_at_the_api_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_API_PORT", "8123")
    assert AppSettings().service_url == "http://127.0.0.1:8123"


def test_api_url_wins_over_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_API_PORT", "8123")
    monkeypatch.setenv("OFFRAMP_API_URL", "http://serve:8000/")
    assert AppSettings().service_url == "http://serve:8000"


def test_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_PORT", "7000")
    assert read_settings([]).port == 7000
    assert read_settings(["--port", "7001"]).port == 7001


def test_impossible_port_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        read_settings(["--port", "70000"])
    assert stopped.value.code == 2
    assert "port: Input should be less than or equal to 65535" in capsys.readouterr().err


def test_key_is_not_shown_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_API_KEY", "very-secret")
    assert "very-secret" not in repr(AppSettings())
