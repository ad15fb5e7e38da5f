"""Where a setting comes from, and what a wrong one says."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from model_core.errors import ConfigError
from serve.settings import ServeSettings


def test_override_beats_environment_beats_file_beats_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OFFRAMP_NUM_SLOTS", "3")
    monkeypatch.setenv("OFFRAMP_QUEUE_LIMIT", "30")
    file = {"num_slots": 2, "queue_limit": 20, "num_threads": 4}
    settings = ServeSettings.resolve(file, ["queue_limit=300"])
    found = (settings.num_slots, settings.queue_limit, settings.num_threads, settings.api_port)
    assert found == (3, 300, 4, 8000)


def test_redis_url_has_no_prefix_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@host/0")
    settings = ServeSettings.resolve()
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://:secret@host/0"
    assert "secret" not in repr(settings)


def test_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_API_KEYS_FILE", "")
    assert ServeSettings.resolve().api_keys_file is None


def test_variables_of_the_page_do_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_PORT", "7860")
    assert ServeSettings.resolve().api_port == 8000


def test_keys_come_from_environment_and_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text("third\n\n")
    monkeypatch.setenv("OFFRAMP_API_KEYS", "first, second")
    settings = ServeSettings.resolve({"api_keys_file": str(path)})
    assert settings.read_api_keys() == (b"first", b"second", b"third")


def test_empty_key_file_does_not_open_the_service(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.touch()
    with pytest.raises(ConfigError, match=r"api_keys_file: .* is empty"):
        ServeSettings(api_keys_file=path).read_api_keys()


def test_redis_url_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "redis"
    path.write_text("redis://:secret@host/0\n")
    assert ServeSettings(redis_url_file=path).read_redis_url() == "redis://:secret@host/0"


def test_redis_url_twice_is_refused(tmp_path: Path) -> None:
    settings = ServeSettings(redis_url_file=tmp_path / "a", redis_url=SecretStr("redis://b"))
    with pytest.raises(ConfigError, match="redis_url and redis_url_file: give one"):
        settings.read_redis_url()


def test_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"redis_url_file: .*missing cannot be read"):
        ServeSettings(redis_url_file=tmp_path / "missing").read_redis_url()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_slots=0", r"num_slots: .*greater than or equal to 1 \(got 0\)"),
        ("default_policy=best", "default_policy: .*unknown policy; use one of full"),
        ("device=tpu", "device: "),
        ("slots=4", "slots: Extra inputs are not permitted"),
        ("num_slots", "must look like name=value"),
    ],
)
def test_wrong_setting_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServeSettings.resolve({}, [override])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"governor_low_delay_s": 0.3, "governor_high_delay_s": 0.3},
            r"governor_low_delay_s \(0\.3\) must be below governor_high_delay_s \(0\.3\)",
        ),
        (
            {"audit_min_count": 11, "audit_window": 10},
            r"audit_min_count \(11\) must not be above audit_window \(10\)",
        ),
    ],
)
def test_limits_out_of_order_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServeSettings.resolve(values)


def test_as_many_audits_as_the_window_holds_may_be_needed() -> None:
    settings = ServeSettings.resolve({"audit_min_count": 10, "audit_window": 10})
    assert settings.audit_min_count == 10
