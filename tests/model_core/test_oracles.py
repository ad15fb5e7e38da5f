"""The five promises of the runtime, on a random model of four layers in float64.

Never-fire equals a plain full-depth model; a batch equals its rows alone; after any exit schedule
the keys and values equal a teacher-forced pass; raising a threshold never makes an exit earlier;
who is admitted mid-flight gets what they would have got at the start.
"""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from model_core.config import CatchUp, ExitConfig
from model_core.decode_step import DecodingStep
from model_core.layers import KeyValue, attend
from model_core.pending_block import PendingBlock
from model_core.policies import (
    ClassifierPolicy,
    ConfidencePolicy,
    ExitSignals,
    FixedDepthPolicy,
    SimilarityPolicy,
    decide,
)
from model_core.predictor import Predictor
from model_core.request import Request
from tests.oracle import (
    DECODER_POLICIES,
    assert_filled_part_is_exact,
    assert_same_answer,
    catch_up_everything,
    encoder_memory,
    exits_with,
    full_pass,
    make_requests,
    open_schedules,
)


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("name", DECODER_POLICIES)
def test_batch_equals_rows_alone(
    predictor: Predictor, photos: list[Image.Image], name: str, catch_up: CatchUp
) -> None:
    requests = make_requests(predictor, photos, exits_with(DECODER_POLICIES[name], catch_up))
    # The instruction is encoded once for a model; whoever comes first pays, so warm it for all.
    together = predictor.answer(requests, num_slots=len(requests))
    for request, expected in zip(requests, together, strict=True):
        assert_same_answer(predictor.answer([request])[0], expected)


def test_rows_of_a_batch_leave_at_different_depths(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    # Guards the tests above: were all depths equal, they would prove little.
    requests = make_requests(predictor, photos, exits_with(DECODER_POLICIES["confidence"]))
    answers = predictor.answer(requests)
    tokens = [token for answer in answers for token in answer.trace.decoder.tokens]
    assert len({token.depth for token in tokens}) >= 3
    assert any(token.caught_up > 0 for token in tokens)
    assert any(token.computed_depth > token.depth for token in tokens)
    assert len({answer.trace.encoder.image.depth for answer in answers}) >= 2


def plain_greedy(predictor: Predictor, request: Request) -> list[int]:
    """Full depth without slots, caches or policies: the whole prefix anew for every token."""
    model = predictor.model
    layers = model.config.num_encoder_layers
    image = model.embed_image(model.image_features(request.pixels[None].double()))
    image = model.encoder.run_layers(image, None, 0, layers)
    text = model.embed_text(torch.tensor([request.text_ids]))
    text = model.encoder.run_layers(text, None, 0, layers)
    memory = model.memory(image, text)
    ids = [predictor.tokenizer.start_id]
    while len(ids) <= request.max_new_tokens:
        hidden = full_pass(predictor, torch.tensor([ids]), memory)[-1]
        logits = model.exit_logits(
            model.exit_features(model.config.num_decoder_layers, hidden[-1:])
        )
        if request.labels:
            allowed = [number for _, number in request.labels]
            ids.append(max(allowed, key=lambda number: float(logits[0, number])))
        else:
            ids.append(int(logits.argmax()))
        if ids[-1] == predictor.tokenizer.end_id:
            break
    return ids[1:]


@torch.inference_mode()
def test_never_fire_equals_plain_full_depth_model(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    requests = make_requests(predictor, photos, ExitConfig())
    for request, answer in zip(requests, predictor.answer(requests), strict=True):
        assert list(answer.token_ids) == plain_greedy(predictor, request)
        assert {token.depth for token in answer.trace.decoder.tokens} == {4}


def test_threshold_that_cannot_be_reached_equals_never(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    unreachable = ExitConfig(decoder=ConfidencePolicy(threshold=1.0))
    requests = make_requests(predictor, photos, unreachable)
    full = predictor.answer(make_requests(predictor, photos, ExitConfig()))
    for got, expected in zip(predictor.answer(requests), full, strict=True):
        assert got.token_ids == expected.token_ids


@pytest.mark.parametrize(
    "name", ["similarity", "confidence", "classifier", "confidence_late", "fixed"]
)
@torch.inference_mode()
def test_every_early_token_is_what_a_full_pass_says_at_its_depth(
    predictor: Predictor, photos: list[Image.Image], name: str
) -> None:
    """Deferred catch-up is exact: tokens and confidences equal a teacher-forced pass's."""
    model = predictor.model
    requests = make_requests(predictor, photos, exits_with(DECODER_POLICIES[name]))
    for request, answer in zip(requests, predictor.answer(requests), strict=True):
        memory = encoder_memory(predictor, request, answer)
        fed = [predictor.tokenizer.start_id, *answer.token_ids[:-1]]
        states = full_pass(predictor, torch.tensor([fed]), memory)
        candidates = (
            torch.tensor([number for _, number in request.labels]) if request.labels else None
        )
        for step, token in enumerate(answer.trace.decoder.tokens):
            here = states[token.depth][step : step + 1]
            logits = model.exit_logits(model.exit_features(token.depth, here), candidates)
            choice = int(logits.argmax())
            wanted = choice if candidates is None else int(candidates[choice])
            assert answer.token_ids[step] == wanted
            if name.startswith("confidence"):
                confidence = float(logits.softmax(-1).amax())
                assert token.scores[-1] == pytest.approx(confidence, abs=1e-10)
            if name == "similarity":
                before = states[token.depth - 1][step]
                cosine = torch.cosine_similarity(here[0], before, dim=0)
                assert token.scores[-1] == pytest.approx(float(cosine), abs=1e-10)


NUM_STEPS = 4


@torch.inference_mode()
def test_every_exit_schedule_leaves_the_cache_of_a_full_pass(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    """All 4^4 schedules as rows of one batch; afterwards everything catches up."""
    model = predictor.model
    num_layers = model.config.num_decoder_layers
    schedules = list(itertools.product(range(1, num_layers + 1), repeat=NUM_STEPS))
    assert len(schedules) == 256
    memory = torch.randn(len(schedules), 9, 8, dtype=torch.float64)
    cache, requests = open_schedules(predictor, photos[0], schedules, memory)
    token_ids = torch.randint(5, 30, (len(schedules), NUM_STEPS))
    for step in range(NUM_STEPS):
        decoding = DecodingStep(model, cache, requests)
        decoding.run(token_ids[:, step])
        assert decoding.depths.tolist() == [schedule[step] for schedule in schedules]
        # The account never grows with the layer, and nothing was computed that nobody needed.
        assert (np.diff(cache.filled, axis=1) <= 0).all()
        newest = [max(schedule[step : step + 1]) for schedule in schedules]
        assert (cache.filled == step + 1).sum(axis=1).tolist() == newest
    states = full_pass(predictor, token_ids, memory)
    rows = np.arange(len(schedules))
    assert_filled_part_is_exact(predictor, cache, states, rows)
    cache.lengths[:] = NUM_STEPS
    catch_up_everything(predictor, cache, rows)
    assert (cache.filled == NUM_STEPS).all()
    assert_filled_part_is_exact(predictor, cache, states, rows)


@pytest.mark.parametrize(
    "make_policy",
    [
        lambda threshold: SimilarityPolicy(threshold=threshold),
        lambda threshold: ConfidencePolicy(threshold=threshold),
        lambda threshold: ClassifierPolicy(threshold=threshold),
    ],
    ids=["similarity", "confidence", "classifier"],
)
@torch.no_grad()
def test_raising_a_threshold_never_makes_an_exit_earlier(
    predictor: Predictor, make_policy: object
) -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(5, 64, 1, 8, generator=generator, dtype=torch.float64).cumsum(0)
    head = torch.randn(8, 20, generator=generator, dtype=torch.float64)
    heads = predictor.model.policy_heads["classifier"]
    earlier = np.zeros(64, dtype=int)
    for threshold in np.linspace(0.0, 1.0, 21):
        policy = make_policy(float(threshold))  # type: ignore[operator]
        depths = np.zeros(64, dtype=int)
        for depth in range(1, 5):
            signals = ExitSignals(
                depth=depth,
                num_layers=4,
                hidden=hidden[depth],
                previous=hidden[depth - 1],
                mask=None,
                steps=torch.zeros(64),
                max_steps=torch.ones(64),
                compute_features=lambda depth=depth: hidden[depth].squeeze(1),
                compute_logits=lambda features: features @ head,
                compute_learned=lambda kind, here: heads(here),
            )
            leaves = decide(policy, signals).exit_mask.numpy() & (depths == 0)
            depths[leaves] = depth
        assert (depths >= earlier).all()
        assert depths.min() >= 1
        earlier = depths
    assert (earlier == 4).all() or isinstance(policy, SimilarityPolicy)


@pytest.mark.parametrize("name", ["similarity", "similarity_decay", "confidence", "never"])
def test_admitted_mid_flight_equals_admitted_at_the_start(
    predictor: Predictor, photos: list[Image.Image], name: str
) -> None:
    requests = make_requests(predictor, photos, exits_with(DECODER_POLICIES[name]))
    at_start = predictor.answer(requests, num_slots=len(requests))
    through_three_slots = predictor.answer(requests, num_slots=3)
    for got, expected in zip(through_three_slots, at_start, strict=True):
        assert_same_answer(got, expected)


def test_released_mid_flight_slot_leaves_no_trace_in_the_next_answer(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    exits = exits_with(DECODER_POLICIES["confidence"])
    first, second = (predictor.request("caption", photo, exits) for photo in photos[:2])
    slots = predictor.new_slots(1)
    (slot,) = slots.admit([first])
    slots.step()
    slots.step()
    slots.release(slot)
    (slot,) = slots.admit([second])
    while not any(event.is_finished for event in slots.step()):
        pass
    assert_same_answer(slots.result(slot), predictor.answer([second])[0])


@torch.inference_mode()
def test_copy_hidden_writes_the_projection_of_the_exit_state(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    exits = ExitConfig(decoder=FixedDepthPolicy(depth=2), catch_up=CatchUp.COPY_HIDDEN)
    slots = predictor.new_slots(1)
    slots.admit([predictor.request("caption", photos[0], exits)])
    slots.step()
    exit_state = slots.cache.hidden[0, 0]
    rows = np.array([0])
    for layer in (2, 3):
        wanted = predictor.model.self_key_value(layer, exit_state[None])
        block = PendingBlock(rows, 0 * rows, 0 * rows + 1, slots.cache.hidden)
        got = slots.cache.self_key_value(layer, block)
        torch.testing.assert_close(got.key[0], wanted.key)
        torch.testing.assert_close(got.value[0], wanted.value)
    assert slots.cache.filled[0].tolist() == [1, 1, 1, 1]


def test_attention_over_a_mask_equals_attention_over_the_visible_keys() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, 3, 2, 4, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    mask = torch.tensor([[True, True, False], [True, True, True]])
    masked = attend(query, KeyValue(key, value), mask)
    alone = attend(query[:1], KeyValue(key[:1, :2], value[:1, :2]))
    torch.testing.assert_close(masked[:1], alone)
