"""Shadow audits of a running service: the fake model's early captions differ from full depth's.

It answers a caption with the kind of the decoder's policy, and every entailment alike.
"""

import asyncio
import random
from typing import Any

import pytest
from PIL import Image

from model_core.config import ExitConfig
from model_core.policies import FixedDepthPolicy, NeverPolicy
from serve.cache.result_cache import CachedAnswer
from serve.engine import Engine, EngineLimits
from serve.policies.book import ChosenPolicy
from serve.questions import DecodedQuestion, EmbeddingQuestion, Photo
from serve.schemas import ExitTrace
from serve.steering.audit import Auditor, AuditSource, is_full_depth
from serve.steering.audit_ledger import Audited, AuditLedger, AuditLimits
from tests.serve.asgi import wait_until
from tests.serve.conftest import Running, Start, encode_photo, to_base64
from tests.serve.fakes import FakePredictor, FakeSlots, Gate, make_trace
from tests.serve.test_deployment import replica_of

EARLY = ChosenPolicy("fast", ExitConfig(decoder=FixedDepthPolicy(depth=1)))
QUESTION = DecodedQuestion(
    "caption", Photo(Image.new("RGB", (8, 6)), "digest"), None, None, max_new_tokens=8, num_beams=1
)


async def caption(running: Running, width: int, policy: str) -> dict[str, Any]:
    image = to_base64(encode_photo(width))
    response = await running.client.post("/v1/caption", json={"image": image, "policy": policy})
    answer: dict[str, Any] = response.json()
    return answer


def num_audits(running: Running, preset: str, task: str = "caption") -> int:
    estimate = running.service.oversight.ledger.estimates().get(Audited(preset, task))
    return estimate.num_audits if estimate else 0


async def audit_until_distrusted(running: Running) -> None:
    for width in range(8, 12):
        assert (await caption(running, width, "fast"))["policy"]["name"] == "fast"
        await wait_until(lambda width=width: num_audits(running, "fast") == width - 7)


async def test_planted_preset_falls_back_and_everybody_is_told(start: Start) -> None:
    running = await start(
        audit_fraction=1.0, audit_min_count=4, audit_caption_floor=0.95, cache=False
    )
    await audit_until_distrusted(running)
    policy = (await caption(running, 20, "fast"))["policy"]
    assert (policy["name"], policy["asked"], policy["reason"]) == ("balanced", "fast", "audit")
    health = (await running.client.get("/healthz")).json()
    assert health["status"] == "degraded"
    assert "preset fast is not used for caption" in " ".join(health["warnings"])
    metrics = (await running.client.get("/metrics")).text
    assert 'offramp_audit_trusted{preset="fast",task="caption"} 0.0' in metrics
    moved = (
        'offramp_preset_moves_total{asked="fast",preset="balanced",reason="audit",task="caption"}'
    )
    assert f"{moved} 1.0" in metrics


async def test_operator_gives_the_preset_back_with_a_new_configuration(start: Start) -> None:
    running = await start(
        audit_fraction=1.0, audit_min_count=4, audit_caption_floor=0.95, cache=False
    )
    await audit_until_distrusted(running)
    await replica_of(running).reconfigure({})
    assert (await caption(running, 20, "fast"))["policy"]["name"] == "fast"
    assert (await running.client.get("/healthz")).json()["status"] == "ok"


async def test_audits_are_counted_by_what_they_found(start: Start, image: str) -> None:
    running = await start(audit_fraction=1.0)
    await caption(running, 8, "fast")
    body = {"image": image, "hypothesis": "a dog", "policy": "fast"}
    await running.client.post("/v1/entailment", json=body)
    await wait_until(lambda: num_audits(running, "fast") == 1)
    await wait_until(lambda: num_audits(running, "fast", "entailment") == 1)
    metrics = (await running.client.get("/metrics")).text
    assert 'offramp_audit_total{preset="fast",result="differed",task="caption"} 1.0' in metrics
    assert 'offramp_audit_total{preset="fast",result="agreed",task="entailment"} 1.0' in metrics
    # "8x6 fixed_depth 8" and "8x6 never 8" share two of four and of three words.
    assert f'offramp_audit_quality{{preset="fast",task="caption"}} {4 / 7}' in metrics
    assert 'offramp_audit_agreement{preset="fast",task="entailment"} 1.0' in metrics


async def test_hits_full_depth_and_spelled_out_rules_are_not_audited(
    start: Start, image: str
) -> None:
    running = await start(audit_fraction=1.0)
    await caption(running, 8, "fast")
    await wait_until(lambda: num_audits(running, "fast") == 1)
    assert (await caption(running, 8, "fast"))["cache"] == "hit"
    await caption(running, 8, "full")
    await caption(running, 8, "deed")  # full depth for captions
    rules = {"decoder": {"kind": "fixed_depth", "depth": 1}}
    await running.client.post("/v1/caption", json={"image": image, "policy": rules})
    await running.client.post("/v1/embed", json={"text": "a dog", "policy": "fast"})
    estimates = running.service.oversight.ledger.estimates()
    assert {audited: found.num_audits for audited, found in estimates.items()} == {
        Audited("fast", "caption"): 1
    }
    assert len(running.predictor.requests) == 5  # an audit, and four answers: full depth is kept


async def test_nothing_is_audited_by_default(running: Running) -> None:
    await caption(running, 8, "fast")
    assert len(running.predictor.requests) == 1


class Bench:
    """An auditor on an engine of one slot, and what became of its audits."""

    def __init__(self, fraction: float = 1.0, seed: int = 0) -> None:
        self.gate = Gate()
        self.engine = Engine(lambda: FakeSlots(1, self.gate), EngineLimits())
        self.predictor = FakePredictor()
        self.results: list[str] = []

        async def prepare(question: Any, exits: ExitConfig) -> Any:
            return question.prepare(self.predictor, exits)

        self.auditor = Auditor(
            AuditSource(self.engine, prepare),
            AuditLedger(AuditLimits()),
            fraction,
            lambda _audited, result: self.results.append(result),
            random.Random(seed),
        )

    async def aclose(self) -> None:
        await self.auditor.aclose()
        self.gate.open()
        await asyncio.to_thread(self.engine.close, 1.0)


def answered(text: str) -> CachedAnswer:
    trace = ExitTrace.model_validate(make_trace([text]))
    return CachedAnswer(task="caption", text=text, probabilities={}, trace=trace)


async def test_fraction_of_the_answers_is_drawn() -> None:
    bench = Bench(fraction=0.25, seed=3)
    bench.gate.open()
    draws = random.Random(3)
    expected = sum(draws.random() < 0.25 for _ in range(40))
    for _ in range(40):
        bench.auditor.consider(QUESTION, EARLY, answered("8x6 never 8"))
        await wait_until(lambda: len(bench.results) == len(bench.predictor.requests))
        await asyncio.sleep(0)
    await wait_until(lambda: len(bench.results) == expected)
    assert 0 < expected < 40
    assert set(bench.results) == {"agreed"}
    await bench.aclose()


async def test_audit_is_dropped_while_requests_wait() -> None:
    bench = Bench()
    for _ in range(2):
        bench.engine.submit(QUESTION.prepare(bench.predictor, ExitConfig()))
    await wait_until(lambda: bench.engine.num_waiting == 1)
    bench.auditor.consider(QUESTION, EARLY, answered("any"))
    assert bench.results == ["dropped"]
    await bench.aclose()


async def test_audit_that_loses_its_slot_is_dropped() -> None:
    bench = Bench()
    bench.auditor.consider(QUESTION, EARLY, answered("any"))
    await wait_until(lambda: bench.engine.num_running == 1)
    wanted = bench.engine.submit(QUESTION.prepare(bench.predictor, ExitConfig()))
    bench.gate.open()
    assert (await asyncio.wrap_future(wanted)).text == "8x6 never 8"
    await wait_until(lambda: bench.results == ["dropped"])
    await bench.aclose()


async def test_audit_on_which_the_model_fails_is_told_apart() -> None:
    bench = Bench()
    bench.gate.open()
    bench.predictor.fails_at_step = True
    bench.auditor.consider(QUESTION, EARLY, answered("any"))
    await wait_until(lambda: bool(bench.results))
    await bench.aclose()
    assert bench.results == ["failed"]


async def test_too_many_audits_at_once_are_dropped() -> None:
    bench = Bench()
    for _ in range(20):
        bench.auditor.consider(QUESTION, EARLY, answered("any"))
    assert bench.results == ["dropped"] * 4
    await bench.aclose()


async def test_questions_without_words_are_not_audited() -> None:
    bench = Bench()
    bench.auditor.consider(EmbeddingQuestion("a dog"), EARLY, answered("any"))
    assert bench.results == []
    await bench.aclose()


@pytest.mark.parametrize("site", ["image", "text", "decoder"])
def test_full_depth_is_where_nothing_can_leave(site: str) -> None:
    assert is_full_depth(ExitConfig(decoder=NeverPolicy()))
    assert not is_full_depth(ExitConfig(**{site: FixedDepthPolicy(depth=1)}))
