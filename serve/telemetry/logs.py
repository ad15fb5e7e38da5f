"""How log lines look: plain text, or one JSON object per line; and the line of a request.

``configure_logging`` is called once per process, by ``__main__`` and by the replica. Nothing of a
user's photo or text is ever part of a line.
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pythonjsonlogger.json import JsonFormatter

from serve.schemas import CacheState, ExitTrace
from serve.settings import ServeSettings

TEXT_FORMAT = "%(asctime)s %(levelname)s {source}%(name)s: %(message)s"
JSON_FIELDS = ("levelname", "name", "message")
EXPLICIT_POLICY = "explicit"


def configure_logging(settings: ServeSettings, replica: str | None = None) -> None:
    """Makes this process write its lines to standard error in the form of the settings.

    Args:
        settings: Level and form.
        replica: Name of the replica that this process is, for each of its lines.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(make_formatter(settings, replica))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def make_formatter(settings: ServeSettings, replica: str | None = None) -> logging.Formatter:
    """The formatter of ``log_format``; lines name the replica, if there is one."""
    if settings.log_format == "json":
        return JsonLines(replica)
    return logging.Formatter(TEXT_FORMAT.format(source=f"{replica} " if replica else ""))


class JsonLines(JsonFormatter):
    """One JSON object per line; the line of a request has its fields one by one."""

    def __init__(self, replica: str | None) -> None:
        super().__init__(
            JSON_FIELDS,
            timestamp="time",
            rename_fields={"levelname": "level", "name": "logger"},
            static_fields={} if replica is None else {"replica": replica},
        )

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, RequestLine):
            fields = record.msg.as_fields()
            record = copy.copy(record)
            record.msg = {"message": "request", **fields}
        return super().format(record)


@dataclass(frozen=True)
class AnswerNote:
    """What the line of a request says of one answer of the model.

    Attributes:
        policy: The preset, or ``explicit``.
        cache: Where the answer came from.
        image_depth: 0 without a photo.
        text_depth: 0 without a text.
        token_depths: One per token; empty where nothing was decoded.
    """

    policy: str
    cache: CacheState
    image_depth: int
    text_depth: int
    token_depths: tuple[int, ...]

    @classmethod
    def of(cls, policy: str | None, cache: CacheState, trace: ExitTrace) -> "AnswerNote":
        """The note of an answer with this trace; ``policy`` None: its rules were spelled out."""
        tokens = tuple(token.depth for token in trace.decoder.tokens)
        encoder = trace.encoder
        name = policy or EXPLICIT_POLICY
        return cls(name, cache, encoder.image.depth, encoder.text.depth, tokens)

    def __str__(self) -> str:
        tokens = ",".join(str(depth) for depth in self.token_depths)
        depths = f"{self.image_depth}/{self.text_depth}/{tokens}"
        return f"policy={self.policy} cache={self.cache} depths={depths}"


@dataclass(frozen=True)
class RequestLine:
    """Everything that is logged of a request, and told to tracing."""

    request_id: str
    route: str
    status: int
    ms: float
    model: str
    error: str | None
    answers: Sequence[AnswerNote]

    def __str__(self) -> str:
        error = "" if self.error is None else f"error={self.error} "
        answers = " | ".join(str(answer) for answer in self.answers)
        return (
            f"id={self.request_id} route={self.route} status={self.status} ms={self.ms:.1f} "
            f"model={self.model} {error}{answers}"
        ).rstrip()

    def as_fields(self) -> dict[str, object]:
        """The same as fields of a JSON line."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return {**fields, "ms": round(self.ms, 1)}
