"""Spans of a request, collected in memory."""

import asyncio
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from model_core.errors import ConfigError, InputError
from serve.settings import ServeSettings
from serve.telemetry.tracing import OtlpTracing, make_tracing
from tests.serve.conftest import Running, Start

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}


class Traced:
    """A service whose spans are kept."""

    def __init__(self, running: Running, exporter: InMemorySpanExporter) -> None:
        self.running = running
        self._exporter = exporter

    async def post(self, body: dict[str, str], **headers: str) -> httpx.Response:
        return await self.running.client.post("/v1/caption", json=body, headers=headers)

    def spans(self) -> dict[str, ReadableSpan]:
        """Spans so far by name; the service traces no more."""
        self.running.service.tracing.close()
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
async def traced(start: Start) -> Traced:
    exporter = InMemorySpanExporter()
    running = await start(tracing=OtlpTracing(exporter))
    return Traced(running, exporter)


async def test_computed_answer_has_a_span_per_stage(traced: Traced, image: str) -> None:
    await traced.post({"image": image, "policy": "fast"}, **{"X-Request-ID": "one"})
    spans = traced.spans()
    assert set(spans) == {"request /v1/caption", "photo", "queue", "encode", "decode"}
    request = spans.pop("request /v1/caption")
    assert dict(request.attributes or {}) == {
        "http.route": "/v1/caption",
        "http.response.status_code": 200,
        "offramp.request_id": "one",
        "offramp.model": "0123456789ab",
        "offramp.policies": ("fast",),
        "offramp.cache": ("miss",),
    }
    assert request.context is not None
    parents = {span.parent.span_id for span in spans.values() if span.parent is not None}
    assert parents == {request.context.span_id}


async def test_depths_stand_in_the_spans_of_their_stages(traced: Traced, image: str) -> None:
    await traced.post({"image": image})
    spans = traced.spans()
    encode, decode = spans["encode"].attributes, spans["decode"].attributes
    assert dict(encode or {}) == {"offramp.image_depth": 2, "offramp.text_depth": 2}
    assert dict(decode or {}) == {"offramp.token_depths": (2, 2)}


async def test_stages_follow_one_another_inside_the_request(traced: Traced, image: str) -> None:
    await traced.post({"image": image})
    spans = traced.spans()
    queue, encode, decode = (spans[name] for name in ("queue", "encode", "decode"))
    assert abs((queue.end_time or 0) - (encode.start_time or 0)) < 1e6  # rounding of the clocks
    assert abs((encode.end_time or 0) - (decode.start_time or 0)) < 1e6


async def test_hit_has_no_stage_of_the_engine(start: Start, image: str) -> None:
    exporter = InMemorySpanExporter()
    running = await start(tracing=OtlpTracing(exporter))
    traced = Traced(running, exporter)
    await traced.post({"image": image})
    await traced.post({"image": image})
    traced.spans()
    names = [span.name for span in exporter.get_finished_spans()]
    assert sorted(names).count("request /v1/caption") == 2
    assert names.count("photo") == 2
    assert names.count("queue") == names.count("encode") == names.count("decode") == 1


async def test_callers_trace_is_continued(traced: Traced, image: str) -> None:
    await traced.post({"image": image}, **TRACEPARENT)
    spans = traced.spans()
    assert {f"{span.context.trace_id:032x}" for span in spans.values() if span.context} == {
        TRACE_ID
    }
    parent = spans["request /v1/caption"].parent
    assert parent is not None
    assert f"{parent.span_id:016x}" == PARENT_ID


async def test_refusal_is_named_and_only_our_failures_are_errors(
    traced: Traced, image: str
) -> None:
    await traced.post({"image": "@"})
    traced.running.predictor.fails_at_step = True
    await traced.post({"image": image})
    traced.running.service.tracing.close()
    found = {
        (span.attributes or {})["error.type"]: span.status.is_ok
        for span in traced._exporter.get_finished_spans()
        if span.name == "request /v1/caption"
    }
    assert found == {"invalid_input": True, "engine_failure": False}


async def test_watching_is_not_traced(traced: Traced) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        await traced.running.client.get(path)
    assert traced.spans() == {}


async def test_no_text_of_a_user_is_in_a_span(traced: Traced, image: str) -> None:
    await traced.running.client.post(
        "/v1/entailment", json={"image": image, "hypothesis": "a very private sentence"}
    )
    text = "".join(span.to_json() for span in traced.spans().values())
    assert "private" not in text
    assert image[-20:] not in text


async def test_exception_leaves_no_words_in_a_span(
    traced: Traced, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: bytes) -> None:
        raise InputError("image: private words")

    monkeypatch.setattr(traced.running.service, "_decode", refuse)
    assert "private" in (await traced.post({"image": image})).text
    spans = traced.spans()
    assert set(spans) == {"request /v1/caption", "photo"}
    assert all("private" not in span.to_json() for span in spans.values())


def test_without_endpoint_nothing_is_imported_or_recorded() -> None:
    code = (
        "import sys; import serve.http.api, serve.telemetry.tracing as t, serve.settings as s;"
        "assert type(t.make_tracing(s.ServeSettings())) is t.Tracing;"
        # redis imports some of the rest by itself.
        "wrong = ('opentelemetry.sdk.trace', 'opentelemetry.exporter');"
        "print([name for name in sys.modules if name.startswith(wrong)])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_endpoint_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = ServeSettings(otlp_endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(ConfigError, match=r"pip install 'offramp\[tracing\]'"):
        make_tracing(settings)


class Collector(BaseHTTPRequestHandler):
    """Takes what is sent to it, as an OpenTelemetry collector would."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


async def test_spans_reach_a_collector_by_http(start: Start, image: str) -> None:
    Collector.received.clear()
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        tracing = make_tracing(ServeSettings(otlp_endpoint=url))
        running = await start(tracing=tracing)
        await running.client.post("/v1/caption", json={"image": image})
        await asyncio.to_thread(tracing.close)
        server.shutdown()
    ((path, body),) = Collector.received
    sent = ExportTraceServiceRequest.FromString(body)
    (resource,) = sent.resource_spans
    names = [span.name for scope in resource.scope_spans for span in scope.spans]
    assert path == "/v1/traces"
    assert sorted(names) == ["decode", "encode", "photo", "queue", "request /v1/caption"]
