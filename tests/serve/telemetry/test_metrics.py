"""What is counted of answers and errors, read back from a scrape."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from model_core.types import (
    Cost,
    DecoderTrace,
    EncoderTrace,
    ExitTrace,
    ModalityTrace,
    StageMs,
    TokenTrace,
)
from serve import schemas
from tests.serve.conftest import Running

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def make_trace() -> schemas.ExitTrace:
    """Photo 2 of 6 layers, an instruction that was kept, tokens after 1 and 4 of 4 layers."""
    image = ModalityTrace(2, 6, (), ())
    text = ModalityTrace(3, 6, (), (), from_cache=True)
    tokens = tuple(TokenTrace("", depth, (), (), 0, depth) for depth in (1, 4))
    cost = Cost(5.0, 10.0, 300, 900, StageMs(0.0, 0.0, 0.0, 0.0))
    trace = ExitTrace(1, EncoderTrace(image, text), DecoderTrace(4, tokens), cost)
    return schemas.ExitTrace.model_validate(trace)


def read(running: Running) -> Samples:
    families = text_string_to_metric_families(running.service.metrics.render().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(running: Running, metric: str, /, **labels: str) -> float | None:
    return read(running).get((metric, frozenset(labels.items())))


async def test_share_of_layers_and_operations_can_be_read_from_counters(running: Running) -> None:
    running.service.metrics.count_answer("caption", "fast", "miss", make_trace())
    expected = {
        ("layers_run", "image"): 2.0, ("layers_full", "image"): 6.0,
        ("layers_run", "decoder"): 5.0, ("layers_full", "decoder"): 8.0,
    }  # fmt: skip
    for (name, site), number in expected.items():
        assert value(running, f"offramp_{name}_total", site=site) == number
    assert value(running, "offramp_flops_run_total") == 300.0
    assert value(running, "offramp_flops_full_total") == 900.0


async def test_encoding_kept_for_the_whole_model_is_no_depth(running: Running) -> None:
    running.service.metrics.count_answer("caption", "fast", "miss", make_trace())
    assert value(running, "offramp_layers_run_total", site="text") is None
    assert value(running, "offramp_exit_depth_count", site="text") is None


@pytest.mark.parametrize("state", ["hit", "coalesced"])
async def test_answer_that_was_not_computed_counts_no_layers(
    running: Running, state: schemas.CacheState
) -> None:
    running.service.metrics.count_answer("caption", "fast", state, make_trace())
    assert value(running, "offramp_cache_total", state=state) == 1.0
    assert value(running, "offramp_answers_total", task="caption", preset="fast") == 1.0
    assert value(running, "offramp_flops_run_total") == 0.0


async def test_answers_are_counted_by_task_and_preset(running: Running, image: str) -> None:
    rules = {"decoder": {"kind": "confidence", "threshold": 0.5}}
    for policy in ("fast", "fast", rules):
        await running.client.post("/v1/caption", json={"image": image, "policy": policy})
    await running.client.post("/v1/entailment", json={"image": image, "hypothesis": "a dog"})
    counted = {
        (task, preset): value(running, "offramp_answers_total", task=task, preset=preset)
        for task, preset in (
            ("caption", "fast"),
            ("caption", "explicit"),
            ("entailment", "balanced"),
        )
    }
    assert list(counted.values()) == [2.0, 1.0, 1.0]


async def test_errors_are_counted_by_code(running: Running, image: str) -> None:
    await running.client.post("/v1/caption", json={"image": "@"})
    await running.client.get("/nowhere")
    running.predictor.fails_at_step = True
    await running.client.post("/v1/caption", json={"image": image})
    codes = ("invalid_input", "not_found", "engine_failure")
    assert [value(running, "offramp_errors_total", code=code) for code in codes] == [1.0] * 3


async def test_unexpected_error_is_counted(
    running: Running, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.service, "question", None)
    response = await running.client.post("/v1/caption", json={"image": image})
    assert response.status_code == 500
    assert value(running, "offramp_errors_total", code="internal_error") == 1.0


async def test_model_is_named(running: Running) -> None:
    labels = {
        "name": "fake", "hash": "0123456789abcdef", "device": "cpu",
        "dtype": "float32", "weights": "float32",
    }  # fmt: skip
    assert value(running, "offramp_model_info", **labels) == 1.0


async def test_every_series_carries_the_replica(running: Running, image: str) -> None:
    await running.client.post("/v1/caption", json={"image": image})
    without = read(running)
    running.service.metrics.replica = "abc"
    with_label = {
        (name, labels | {("replica", "abc")}): number for (name, labels), number in without.items()
    }
    assert read(running) == with_label
