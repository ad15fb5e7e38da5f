"""Settings of the service: the only place of this package that reads environment variables.

A field comes, in falling precedence, from ``--set``, from the environment (``OFFRAMP_<FIELD>``, and
``REDIS_URL``), from the ``args`` of a file in ``configs/serve``, or from the default below.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model_core.config import describe_validation_error, preset_names
from model_core.errors import ConfigError
from serve.policies.preset_order import RankedPreset


class ServeSettings(BaseSettings):
    """Everything an operator may choose; immutable once made."""

    # An empty variable is one that is not set: compose cannot leave a variable out on a condition.
    model_config = SettingsConfigDict(
        env_prefix="OFFRAMP_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    checkpoint: Path | None = Field(default=None, description="Directory; None: the shipped one.")
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$")
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    weights: Literal["auto", "float32", "float16", "int8"] = Field(
        default="auto", description="Packed weights; auto: the fastest that loses nothing here."
    )
    num_threads: int = Field(default=1, ge=1, le=256, description="Torch threads per replica.")

    num_replicas: int | None = Field(
        default=None, ge=1, le=1024, description="None: what the file's deployments section says."
    )
    num_slots: int = Field(
        default=16, ge=1, le=1024, description="Beams decoded together; a request has one or more."
    )
    max_admit_per_step: int = Field(
        default=4, ge=1, le=1024, description="Most requests encoded between two decoding steps."
    )
    max_admit_s_per_step: float = Field(
        default=0.1, gt=0, le=60, description="Most encoder work between two decoding steps."
    )
    queue_limit: int = Field(default=64, ge=1, le=100_000)
    request_timeout_s: float = Field(default=30.0, gt=0, le=3600)
    drain_timeout_s: float = Field(
        default=15.0, ge=0, le=3600, description="For requests in flight when a replica stops."
    )
    body_timeout_s: float = Field(
        default=15.0, gt=0, le=3600, description="For a body to arrive, before that time begins."
    )
    default_policy: str = "balanced"

    governor: bool = Field(
        default=False, description="Cheaper presets under load, for requests that allow them."
    )
    default_min_quality: RankedPreset | None = Field(
        default=None, description="For requests that name neither policy nor min_quality."
    )
    governor_high_delay_s: float = Field(default=0.25, gt=0, le=3600)
    governor_low_delay_s: float = Field(default=0.05, gt=0, le=3600)
    governor_raise_every_s: float = Field(default=0.5, gt=0, le=3600)
    governor_lower_after_s: float = Field(default=5.0, gt=0, le=3600)

    audit_fraction: float = Field(
        default=0.0, ge=0, le=1, description="Share of early answers recomputed at full depth."
    )
    audit_window: int = Field(default=400, ge=1, le=100_000)
    audit_min_count: int = Field(default=50, ge=1, le=100_000)
    audit_caption_floor: float = Field(default=0.7, ge=0, le=1)
    audit_label_floor: float = Field(default=0.8, ge=0, le=1)

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=1, le=65535)
    haproxy: bool = Field(
        default=True, description="python -m serve: HAProxy, where Ray brings it (Linux)."
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="Bearer keys, comma-separated; empty: open to everybody."
    )
    api_keys_file: Path | None = Field(default=None, description="One key per line.")
    rate_limit_per_minute: int = Field(
        default=0, ge=0, le=1_000_000, description="Requests of one key; 0: no limit."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Comma-separated; empty: no page of another origin may ask."
    )

    max_upload_bytes: int = Field(default=10 * 2**20, ge=1024, le=2**30)
    max_pixels: int = Field(default=40_000_000, ge=1024, le=2**30)
    max_text_chars: int = Field(default=1000, ge=1, le=100_000)
    num_decode_threads: int = Field(default=2, ge=1, le=64)

    cache: bool = True
    embedded_cache: bool = Field(
        default=True, description="Without redis_url, python -m serve starts a local Valkey."
    )
    redis_url: SecretStr | None = Field(default=None, validation_alias="redis_url")
    redis_url_file: Path | None = Field(
        default=None,
        description="Holds the URL, where a password should not be in the environment.",
    )
    cache_backend_name: Literal["redis", "embedded"] = Field(
        default="redis", description="What stands behind redis_url; set by python -m serve."
    )
    cache_ttl_s: int = Field(default=86_400, ge=1, le=366 * 86_400)
    memory_cache_entries: int = Field(default=1024, ge=1, le=1_000_000)
    memory_cache_bytes: int = Field(default=64 * 2**20, ge=1024, le=2**36)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_000, description="Replicas take the first free port from here."
    )
    metrics_host: str = "127.0.0.1"
    otlp_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="Where traces go; None: nowhere."
    )

    @field_validator("api_keys", "cors_origins", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("default_policy")
    @classmethod
    def _policy_is_a_preset(cls, value: str) -> str:
        if value not in preset_names():
            raise ValueError(f"unknown policy; use one of {', '.join(preset_names())}")
        return value

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> Self:
        if self.governor_low_delay_s >= self.governor_high_delay_s:
            raise ValueError(
                f"governor_low_delay_s ({self.governor_low_delay_s:g}) must be below "
                f"governor_high_delay_s ({self.governor_high_delay_s:g})"
            )
        if self.audit_min_count > self.audit_window:
            raise ValueError(
                f"audit_min_count ({self.audit_min_count}) must not be above audit_window "
                f"({self.audit_window})"
            )
        return self

    @classmethod
    def resolve(
        cls, values: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
    ) -> Self:
        """Settings from a file's ``args``, the environment over them, ``a=b`` overrides over both.

        Raises:
            ConfigError: A value is wrong; the message names the field.
        """
        given = dict(values or {})
        changes = dict(_parse_override(override) for override in overrides)
        try:
            environment = cls()
            from_environment = {
                name: getattr(environment, name) for name in environment.model_fields_set
            }
            return cls(**{**given, **from_environment, **changes})
        except ValidationError as error:
            raise ConfigError(f"serve settings: {describe_validation_error(error)}") from error
        except OSError as error:
            raise ConfigError(f"serve settings: {error}") from error

    @property
    def max_body_bytes(self) -> int:
        """Bytes of a whole body: the photo as base64, and room for the other fields."""
        return self.max_upload_bytes * 4 // 3 + 64 * 1024

    def read_redis_url(self) -> str | None:
        """Where Redis is, from the setting or from the file; None: nowhere.

        Raises:
            ConfigError: Both are given, or the file cannot be read or is empty.
        """
        if self.redis_url_file is None:
            return None if self.redis_url is None else self.redis_url.get_secret_value()
        if self.redis_url is not None:
            raise ConfigError("redis_url and redis_url_file: give one of the two")
        return _read_lines("redis_url_file", self.redis_url_file)[0]

    def read_api_keys(self) -> tuple[bytes, ...]:
        """Every key that opens the service, from the setting and from the file.

        Raises:
            ConfigError: The file cannot be read, or holds no key.
        """
        keys = [key.get_secret_value() for key in self.api_keys]
        if self.api_keys_file is not None:
            keys.extend(_read_lines("api_keys_file", self.api_keys_file))
        return tuple(key.encode() for key in keys)


def _read_lines(field: str, path: Path) -> list[str]:
    """Lines of a file of secrets, without blank ones."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{field}: {path} cannot be read ({reason})") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"{field}: {path} is empty; give one secret per line")
    return lines


def _parse_override(override: str) -> tuple[str, Any]:
    name, separator, text = override.partition("=")
    if not separator or not name:
        raise ConfigError(f"override {override!r}: must look like name=value")
    try:
        return name, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML") from error


def prepare_environment(import_root: Path) -> None:
    """Sets what Ray and its processes inherit; call it before Ray is imported.

    They import us from ``import_root``, send no usage statistics, and listen on the loopback
    address (the variable is named after the systems where that is Ray's default). Lines of replicas
    are passed on as they are: each one, and without a prefix, which would break JSON.
    """
    known = os.environ.get("PYTHONPATH", "")
    paths = [str(import_root), *(path for path in known.split(os.pathsep) if path)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ.setdefault("RAY_DISABLE_WORKER_LOG_PREFIX", "1")
    # Ray lets its workers stand back behind every other process, and ours are what people wait for.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Ray gives up on its HTTP proxy after 5 s, which a busy machine needs to import it.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
