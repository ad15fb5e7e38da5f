"""OpenTelemetry traces of requests, as an option: off, nothing of it is imported for them.

A request has one span, a child of the caller's when it sends a W3C ``traceparent``; below it stand
reading the photo and, where the answer was computed, queue, encode and decode. Of requests that
shared a computation, the first has these. No photo and no text of a user is ever in a span.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from model_core.errors import ConfigError
from serve.schemas import ExitTrace
from serve.settings import ServeSettings
from serve.telemetry.engine_observer import Timeline
from serve.telemetry.logs import RequestLine

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

SERVICE_NAME = "offramp"
Close = Callable[[RequestLine], None]


class Tracing:
    """Records nothing: what holds without ``otlp_endpoint``."""

    def request(
        self,
        headers: Mapping[str, str],  # noqa: ARG002 - of use to who records
    ) -> AbstractContextManager[Close]:
        """The span of a request; what it gives is called with the request's line at its end."""
        return nullcontext(lambda _line: None)

    def stage(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - see above
        """The span of a stage of the current request."""
        return nullcontext()

    def note_computed(self, timeline: Timeline, trace: ExitTrace) -> None:
        """Records the engine's stages of an answer of the current request, once they are over."""

    def close(self) -> None:
        """Sends what is left; blocks until it is sent, or given up."""


def make_tracing(settings: ServeSettings) -> Tracing:
    """The tracing that the settings ask for.

    Raises:
        ConfigError: The packages of the extra ``tracing`` are not installed.
    """
    if settings.otlp_endpoint is None:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigError(
            f"otlp_endpoint: {settings.otlp_endpoint} needs packages that are not installed "
            f"({error.name}); pip install 'offramp[tracing]', or leave the setting out"
        ) from error
    return OtlpTracing(OTLPSpanExporter(endpoint=settings.otlp_endpoint))


class OtlpTracing(Tracing):
    """Records spans and sends them in the background, sampled as OpenTelemetry's variables say."""

    def __init__(self, exporter: "SpanExporter") -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # Of our own: Ray may set the global one.
        self._provider = TracerProvider(resource=Resource.create({"service.name": SERVICE_NAME}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE_NAME)
        self._propagator = TraceContextTextMapPropagator()
        self._api = trace

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[Close]:
        parent = self._propagator.extract(dict(headers))
        kind = self._api.SpanKind.SERVER
        with self._start("request", context=parent, kind=kind) as span:

            def close(line: RequestLine) -> None:
                span.update_name(f"request {line.route}")
                span.set_attributes(_request_attributes(line))
                if line.status >= 500:
                    span.set_status(self._api.StatusCode.ERROR)

            yield close

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        with self._start(name):
            yield

    def _start(self, name: str, **options: Any) -> AbstractContextManager["Span"]:
        # An exception's message may quote what a user sent: the error's code is enough.
        return self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False, **options
        )

    def note_computed(self, timeline: Timeline, trace: ExitTrace) -> None:
        encoder, tokens = trace.encoder, trace.decoder.tokens
        depths = {"image_depth": encoder.image.depth, "text_depth": encoder.text.depth}
        self._span("queue", timeline.submitted_s, timeline.admitted_s, {})
        self._span("encode", timeline.admitted_s, timeline.encoded_s, depths)
        if tokens:
            of_tokens = {"token_depths": [token.depth for token in tokens]}
            self._span("decode", timeline.encoded_s, timeline.finished_s, of_tokens)

    def _span(
        self, name: str, start_s: float | None, end_s: float | None, values: Mapping[str, Any]
    ) -> None:
        """A span that is over, from times of ``time.monotonic``."""
        if start_s is None or end_s is None:
            return
        offset_s = time.time() - time.monotonic()
        span = self._tracer.start_span(
            name,
            start_time=_to_ns(start_s + offset_s),
            attributes={f"offramp.{key}": value for key, value in values.items()},
        )
        span.end(_to_ns(end_s + offset_s))

    def close(self) -> None:
        self._provider.shutdown()


def _to_ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _request_attributes(line: RequestLine) -> dict[str, str | int | Sequence[str]]:
    attributes: dict[str, str | int | Sequence[str]] = {
        "http.route": line.route,
        "http.response.status_code": line.status,
        "offramp.request_id": line.request_id,
        "offramp.model": line.model,
        "offramp.policies": [answer.policy for answer in line.answers],
        "offramp.cache": [answer.cache for answer in line.answers],
    }
    if line.error is not None:
        attributes["error.type"] = line.error
    return attributes
