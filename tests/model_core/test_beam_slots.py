"""Beam search on the slots, against a plain search, in float64.

The plain search runs the whole prefix of every beam anew for every token, and asks the policy at
each depth: no cache, no slots, nothing that moves. Greedy decoding, mixed batches, keys and values,
and what is refused come after it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from model_core.checkpoint import LoadedCheckpoint
from model_core.config import CatchUp, ExitConfig, ModelConfig
from model_core.errors import InputError
from model_core.generate import Slots
from model_core.model import UnifiedModel
from model_core.pending_block import PendingBlock
from model_core.policies import (
    AnyPolicy,
    ClassifierPolicy,
    ConfidencePolicy,
    ExitSignals,
    FixedDepthPolicy,
    NeverPolicy,
    SimilarityPolicy,
    decide,
)
from model_core.predictor import Predictor, answer_all
from model_core.request import MAX_NUM_BEAMS, Request
from model_core.types import Answer
from tests.oracle import (
    assert_filled_part_is_exact,
    assert_same_answer,
    catch_up_everything,
    encoder_memory,
    every_sequence,
    exits_with,
    full_pass,
)
from tests.tiny import add_random_heads, randomize, tiny_tokenizer

POLICIES: dict[str, AnyPolicy] = {
    "never": NeverPolicy(),
    "fixed": FixedDepthPolicy(depth=2),
    "similarity": SimilarityPolicy(threshold=0.4),
    "classifier": ClassifierPolicy(threshold=0.6),
    "confidence": ConfidencePolicy(threshold=0.6),
}


@pytest.fixture(scope="module")
def searchers(tiny_config: ModelConfig) -> list[Predictor]:
    """Random models of eleven pieces; each next token depends on those before it."""
    tokenizer = tiny_tokenizer("yes maybe no a dog runs", letters="")
    made = []
    for seed in range(4):
        model = UnifiedModel(tiny_config, tokenizer.vocabulary_size)
        randomize(model)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in (*model.decoder.parameters(), *model.exit_head.parameters()):
                if value.dim() > 1:
                    value.normal_(std=0.5, generator=generator)
            model.word_embedding.weight.normal_(std=0.8, generator=generator)
            model.exit_head.bias[tokenizer.end_id] = 0.5
        add_random_heads(model)
        made.append(Predictor(LoadedCheckpoint(model, tokenizer, f"seed {seed}"), dtype="float64"))
    return made


class Found(NamedTuple):
    """A sequence of the plain search, the depths of its tokens, its summed log-probability."""

    token_ids: tuple[int, ...]
    depths: tuple[int, ...]
    total: float


class Next(NamedTuple):
    """Where the next token of a prefix is decided, and the ``(V,)`` log-probabilities there."""

    depth: int
    log_probabilities: list[float]


@torch.inference_mode()
def plain_next(
    predictor: Predictor, request: Request, memory: torch.Tensor, prefixes: Sequence[Found]
) -> list[Next]:
    """The next token of each prefix (all of one length), from whole passes over them."""
    step = len(prefixes[0].token_ids)
    fed = torch.tensor([[predictor.tokenizer.start_id, *prefix.token_ids] for prefix in prefixes])
    states = full_pass(predictor, fed, memory.expand(len(prefixes), -1, -1))
    newest = [state.unflatten(0, fed.shape)[:, step] for state in states]  # (B, D) each
    return [
        plain_exit(predictor, request, [state[row : row + 1] for state in newest], step)
        for row in range(len(prefixes))
    ]


def plain_exit(
    predictor: Predictor, request: Request, states: Sequence[torch.Tensor], step: int
) -> Next:
    model = predictor.model
    for depth in range(1, len(states)):
        logits = model.exit_logits(model.exit_features(depth, states[depth]))
        signals = ExitSignals(
            depth=depth,
            num_layers=len(states) - 1,
            hidden=states[depth].unsqueeze(1),
            previous=states[depth - 1].unsqueeze(1),
            mask=None,
            steps=torch.tensor([step]),
            max_steps=torch.tensor([request.max_new_tokens]),
            compute_features=partial(model.exit_features, depth, states[depth]),
            compute_logits=lambda features, logits=logits: logits,
            compute_learned=model.learned_score,
        )
        if decide(request.exits.decoder, signals).exit_mask.item():
            break
    return Next(depth, (logits - logits.logsumexp(-1, keepdim=True))[0].tolist())


def plain_search(predictor: Predictor, request: Request, memory: torch.Tensor) -> Found:
    """Beam search by the book, on plain lists."""
    end_id, width = predictor.tokenizer.end_id, request.num_beams

    def score(found: Found) -> float:
        return found.total / len(found.token_ids) ** request.length_penalty

    running, finished = [Found((), (), 0.0)], []
    for step in range(1, request.max_new_tokens + 1):
        extended = [
            Found((*beam.token_ids, token), (*beam.depths, here.depth), beam.total + value)
            for beam, here in zip(
                running, plain_next(predictor, request, memory, running), strict=True
            )
            for token, value in enumerate(here.log_probabilities)
        ]
        best = sorted(extended, key=lambda found: found.total, reverse=True)[: 2 * width]
        if step == request.max_new_tokens:
            return max(finished + best[:width], key=score)
        finished += [found for found in best[:width] if found.token_ids[-1] == end_id]
        finished = sorted(finished, key=score, reverse=True)[:width]
        running = [found for found in best if found.token_ids[-1] != end_id][:width]
        if len(finished) == width and score(finished[-1]) >= score(running[0]):
            break
    return finished[0]


def caption_requests(
    predictor: Predictor,
    photos: Sequence[Image.Image],
    exits: ExitConfig,
    num_beams: Sequence[int],
) -> list[Request]:
    return [
        predictor.request("caption", photo, exits, num_beams=count)
        for photo, count in zip(itertools.cycle(photos), num_beams, strict=False)
    ]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("seed", range(4))
@torch.inference_mode()
def test_search_on_the_slots_equals_the_plain_search(
    searchers: list[Predictor], photos: list[Image.Image], seed: int, name: str
) -> None:
    predictor = searchers[seed]
    requests = caption_requests(predictor, photos, exits_with(POLICIES[name]), (2, 3, 8))
    requests += [replace(requests[-1], length_penalty=penalty) for penalty in (0.0, 2.0)]
    for request, answer in zip(requests, predictor.answer(requests), strict=True):
        memory = encoder_memory(predictor, request, answer)
        expected = plain_search(predictor, request, memory)
        assert answer.token_ids == expected.token_ids
        assert tuple(token.depth for token in answer.trace.decoder.tokens) == expected.depths


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
@torch.inference_mode()
def test_exhaustive_width_finds_the_likeliest_of_all_sequences(
    searchers: list[Predictor], photos: list[Image.Image], seed: int, length_penalty: float
) -> None:
    predictor = searchers[seed]
    num_tokens, length = predictor.tokenizer.vocabulary_size, 3
    end_id = predictor.tokenizer.end_id
    request = predictor.request("caption", photos[0], ExitConfig(), max_new_tokens=length)
    request = replace(request, num_beams=num_tokens**2, length_penalty=length_penalty)
    (answer,) = predictor.answer([request])
    sequences = every_sequence(num_tokens, length, end_id)
    padded = [(*tokens, *(end_id,) * (length - len(tokens))) for tokens in sequences]
    fed = torch.tensor([[predictor.tokenizer.start_id, *tokens[:-1]] for tokens in padded])
    memory = encoder_memory(predictor, request, answer).expand(len(fed), -1, -1)
    model = predictor.model
    last = full_pass(predictor, fed, memory)[-1]
    logits = model.exit_logits(model.exit_features(4, last)).unflatten(0, fed.shape)
    values = logits.log_softmax(-1).gather(-1, torch.tensor(padded).unsqueeze(-1)).squeeze(-1)
    scores = [
        float(row[: len(tokens)].sum()) / len(tokens) ** length_penalty
        for tokens, row in zip(sequences, values, strict=True)
    ]
    assert answer.token_ids == sequences[int(np.argmax(scores))]


def test_beams_find_what_greedy_decoding_misses(
    searchers: list[Predictor], photos: list[Image.Image]
) -> None:
    # Guards the tests above: if the first choice always won, they would prove little.
    found = {1: [], 8: []}
    for num_beams, answers in found.items():
        for seed in range(4):
            predictor = searchers[seed]
            requests = caption_requests(predictor, photos, ExitConfig(), 3 * [num_beams])
            answers += [answer.token_ids for answer in predictor.answer(requests)]
    differ = [one != other for one, other in zip(found[1], found[8], strict=True)]
    assert sum(differ) >= 3
    ends = [tokens[-1] == searchers[0].tokenizer.end_id for tokens in found[8]]
    assert 0 < sum(ends) < len(ends)


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("name", POLICIES)
def test_one_beam_is_greedy_decoding(
    searchers: list[Predictor], photos: list[Image.Image], name: str, catch_up: CatchUp
) -> None:
    predictor = searchers[1]
    exits = exits_with(POLICIES[name], catch_up)
    for request, answer in zip(
        requests := caption_requests(predictor, photos, exits, (1, 1, 1)),
        predictor.answer(requests),
        strict=True,
    ):
        assert_same_answer(predictor.answer([replace(request, length_penalty=3.0)])[0], answer)
        if catch_up is CatchUp.DEFERRED:
            assert answer.token_ids == plain_greedy(predictor, request, answer)


def plain_greedy(predictor: Predictor, request: Request, answer: Answer) -> tuple[int, ...]:
    memory = encoder_memory(predictor, request, answer)
    found = Found((), (), 0.0)
    while len(found.token_ids) < request.max_new_tokens:
        (here,) = plain_next(predictor, request, memory, [found])
        token = int(np.argmax(here.log_probabilities))
        found = Found((*found.token_ids, token), (), 0.0)
        if token == predictor.tokenizer.end_id:
            break
    return found.token_ids


def test_greedy_rows_never_pay_for_a_softmax_over_the_vocabulary(
    searchers: list[Predictor], photos: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = searchers[0]
    rows: list[int] = []
    log_softmax = torch.Tensor.log_softmax

    def count(logits: torch.Tensor, dim: int) -> torch.Tensor:
        rows.append(len(logits))
        return log_softmax(logits, dim=dim)

    monkeypatch.setattr(torch.Tensor, "log_softmax", count)
    slots = predictor.new_slots(5)
    slots.admit(caption_requests(predictor, photos, exits_with(POLICIES["similarity"]), (1, 3, 1)))
    slots.step()
    slots.step()
    assert rows == [1, 3]  # one beam in the first step, three in the second


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("name", POLICIES)
def test_mixed_batch_equals_each_request_alone(
    searchers: list[Predictor], photos: list[Image.Image], name: str, catch_up: CatchUp
) -> None:
    predictor = searchers[1]
    exits = exits_with(POLICIES[name], catch_up)
    requests = caption_requests(predictor, photos, exits, (3, 1, 8, 2, 1, 5))
    requests.insert(2, predictor.request("entailment", photos[0], exits, hypothesis="a dog runs"))
    alone = [predictor.answer([request])[0] for request in requests]
    # All at once, and through so few slots that most are admitted mid-flight.
    for num_slots in (32, 9):
        answers = predictor.answer(requests, num_slots=num_slots)
        for got, expected in zip(answers, alone, strict=True):
            assert_same_answer(got, expected)
            assert got.trace.cost.flops == expected.trace.cost.flops


# Exits, reordering and catch-up


def run_to_the_end(slots: Slots) -> None:
    while slots.step():
        pass


@pytest.mark.parametrize("name", ["similarity", "confidence"])
def test_beams_of_a_request_leave_at_different_depths_in_a_step(
    searchers: list[Predictor], photos: list[Image.Image], name: str
) -> None:
    predictor = searchers[1]
    slots = predictor.new_slots(8)
    (slot,) = slots.admit(caption_requests(predictor, photos, exits_with(POLICIES[name]), [8]))
    run_to_the_end(slots)
    steps = slots._states[slot].transcript.steps
    assert max(len({record.depth for record in step.values()}) for step in steps) >= 3


def test_trace_follows_the_winner_from_row_to_row(
    searchers: list[Predictor], photos: list[Image.Image]
) -> None:
    num_moved = 0
    for predictor, name in itertools.product(searchers, ("similarity", "confidence")):
        slots = predictor.new_slots(24)
        requests = caption_requests(predictor, photos, exits_with(POLICIES[name]), 6 * [4])
        taken = slots.admit(requests)
        run_to_the_end(slots)
        for slot in taken:
            state, tokens = slots._states[slot], slots.result(slot).trace.decoder.tokens
            winner = state.search.finished[0]
            num_moved += len(set(winner.rows)) > 1
            for step, row, token in zip(state.transcript.steps, winner.rows, tokens, strict=False):
                assert (token.depth, token.scores, token.thresholds, token.caught_up) == step[row]
    assert num_moved >= 5


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("seed", [1, 2])
@torch.inference_mode()
def test_reordered_beams_hold_the_keys_and_values_of_a_full_pass(
    searchers: list[Predictor], photos: list[Image.Image], seed: int, name: str
) -> None:
    """After each step, what is filled is exact; and so is everything after catching up."""
    predictor = searchers[seed]
    request = caption_requests(predictor, photos[1:], exits_with(POLICIES[name]), [4])[0]
    memory = encoder_memory(predictor, request, predictor.answer([request])[0])
    slots = predictor.new_slots(6)
    slots.admit(caption_requests(predictor, photos, ExitConfig(), [1]))  # rows do not start at 0
    (slot,) = slots.admit([request])
    search, copies = slots._states[slot].search, 0
    for step in range(7):
        before = set(search.beams)
        slots.step()
        copies += len(set(search.beams) - before)
        if search.is_done:
            break
        rows = np.array(sorted(search.beams))
        fed = [[predictor.tokenizer.start_id, *search.beams[row].token_ids[:-1]] for row in rows]
        states = full_pass(predictor, torch.tensor(fed), memory.expand(len(rows), -1, -1))
        assert (slots.cache.lengths[rows] == step + 1).all()
        assert_filled_part_is_exact(predictor, slots.cache, states, rows)
        if step % 3 == 2:
            catch_up_everything(predictor, slots.cache, rows)
            assert (slots.cache.filled[rows] == step + 1).all()
            assert_filled_part_is_exact(predictor, slots.cache, states, rows)
    assert copies >= 3


@pytest.mark.parametrize("name", ["similarity", "confidence", "fixed"])
@torch.inference_mode()
def test_winner_catches_up_to_a_full_pass(
    searchers: list[Predictor], photos: list[Image.Image], name: str
) -> None:
    predictor = searchers[1]
    (request,) = caption_requests(predictor, photos, exits_with(POLICIES[name]), [4])
    # Cut before any end mark can win, so that the winner's row is as the last step left it.
    slots = predictor.new_slots(4)
    (slot,) = slots.admit([replace(request, max_new_tokens=6, length_penalty=10.0)])
    run_to_the_end(slots)
    beam, answer = slots._states[slot].search.finished[0], slots.result(slot)
    assert len(beam.token_ids) == 6
    rows = np.array([beam.rows[-1]])
    computed = [token.computed_depth for token in answer.trace.decoder.tokens]
    assert slots.cache.computed_depths(beam.rows[-1]) == computed
    assert min(computed) < 4 or name == "similarity"
    catch_up_everything(predictor, slots.cache, rows)
    fed = torch.tensor([[predictor.tokenizer.start_id, *beam.token_ids[:-1]]])
    states = full_pass(predictor, fed, encoder_memory(predictor, request, answer))
    assert (slots.cache.filled[rows] == 6).all()
    assert_filled_part_is_exact(predictor, slots.cache, states, rows)


@torch.inference_mode()
def test_copied_row_under_copy_hidden_holds_the_projected_exit_state(
    searchers: list[Predictor], photos: list[Image.Image]
) -> None:
    predictor = searchers[0]
    exits = ExitConfig(decoder=FixedDepthPolicy(depth=2), catch_up=CatchUp.COPY_HIDDEN)
    slots = predictor.new_slots(3)
    slots.admit(caption_requests(predictor, photos, exits, [3]))
    slots.step()
    for row in range(3):
        for layer in (2, 3):
            wanted = predictor.model.self_key_value(layer, slots.cache.hidden[row, :1])
            first = PendingBlock(np.array([row]), np.array([0]), np.array([1]), slots.cache.hidden)
            got = slots.cache.self_key_value(layer, first)
            torch.testing.assert_close(got.key[0], wanted.key)
            torch.testing.assert_close(got.value[0], wanted.value)
        assert slots.cache.filled[row].tolist() == [1, 1, 1, 1]


# Slots


def test_request_takes_a_slot_for_each_beam(
    searchers: list[Predictor], photos: list[Image.Image]
) -> None:
    predictor = searchers[0]
    slots = predictor.new_slots(6)
    one, three, other = caption_requests(predictor, photos, ExitConfig(), (1, 3, 3))
    assert slots.admit([one, three]) == [0, 1]
    assert slots.num_free == 2
    with pytest.raises(ValueError, match="1 requests for 2 free slots; they take 3"):
        slots.admit([other])
    assert [event.slot for event in slots.step()] == [0, 1]
    slots.release(1)
    assert slots.num_free == 5
    # The slots of a request need not be neighbours, nor be clean.
    slots.release(0)
    assert slots.admit([one]) == [0]
    slots.step()
    assert slots.admit([other]) == [1]
    events = slots.step()
    while not all(event.is_finished for event in events):
        events = slots.step()
        assert {event.slot for event in events} <= {0, 1}
    assert slots.result(1).token_ids == predictor.answer([other])[0].token_ids


def test_event_shows_the_likeliest_beam(
    searchers: list[Predictor], photos: list[Image.Image]
) -> None:
    predictor = searchers[1]
    slots = predictor.new_slots(4)
    (slot,) = slots.admit(caption_requests(predictor, photos, exits_with(POLICIES["fixed"]), [4]))
    search = slots._states[slot].search
    while not search.is_done:
        (event,) = slots.step()
        added_text = predictor.tokenizer.text_parts(search.leader.token_ids)[-1]
        found = (event.added_text, event.depth, event.is_finished)
        assert found == (added_text, 2, search.is_done)
    assert slots.result(slot).token_ids == search.leader.token_ids
    assert slots.step() == []


# Refusals


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("caption", {"num_beams": 0}, "num_beams: 0 must be between 1 and 8"),
        ("caption", {"num_beams": MAX_NUM_BEAMS + 1}, "num_beams: 9 must be between 1 and 8"),
        (
            "entailment",
            {"num_beams": 2, "hypothesis": "a dog"},
            "num_beams: 2 cannot be used with task entailment.*only 1 is allowed",
        ),
        ("caption", {"length_penalty": -0.5}, "length_penalty: -0.5 must be between 0 and 10"),
        ("caption", {"length_penalty": math.nan}, "length_penalty: nan must be"),
    ],
)
def test_wrong_search_is_refused(
    searchers: list[Predictor],
    photos: list[Image.Image],
    task: str,
    arguments: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        searchers[0].request(task, photos[0], ExitConfig(), **arguments)  # type: ignore[arg-type]


def test_request_wider_than_the_slots_is_refused(
    searchers: list[Predictor], photos: list[Image.Image]
) -> None:
    predictor = searchers[0]
    requests = caption_requests(predictor, photos, ExitConfig(), (1, 4))
    with pytest.raises(ValueError, match="num_beams: 4 needs as many slots; there are 3"):
        answer_all(predictor.new_slots(3), requests)
    assert len(predictor.answer(requests, num_slots=2)) == 2
