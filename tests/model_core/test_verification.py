"""Lossless decoding: whatever drafts, full depth's answer comes out, and the work is counted."""

import pytest
from PIL import Image

from model_core.config import ExitConfig, parse_config
from model_core.errors import ConfigError, InputError
from model_core.policies import NeverPolicy
from model_core.predictor import Predictor, answer_all
from model_core.request import Request
from model_core.verification import Draft
from tests.oracle import DECODER_POLICIES, exits_with, make_requests


def lossless(name: str, lookahead: int) -> ExitConfig:
    return exits_with(DECODER_POLICIES[name]).model_copy(update={"lookahead": lookahead})


@pytest.mark.parametrize("lookahead", [1, 3, 16])
@pytest.mark.parametrize("name", DECODER_POLICIES)
def test_answers_are_those_of_full_depth(
    predictor: Predictor, photos: list[Image.Image], name: str, lookahead: int
) -> None:
    expected = predictor.answer(make_requests(predictor, photos, exits_with(NeverPolicy())))
    answers = predictor.answer(make_requests(predictor, photos, lossless(name, lookahead)))
    assert [answer.token_ids for answer in answers] == [answer.token_ids for answer in expected]
    for answer in answers:
        assert {token.depth for token in answer.trace.decoder.tokens} == {4}
        assert {token.computed_depth for token in answer.trace.decoder.tokens} == {4}


def test_some_drafts_are_wrong_and_some_are_right(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    """Otherwise the test above would show little."""
    sizes = set()
    for photo in photos:
        slots = predictor.new_slots(1)
        slots.admit([predictor.request("caption", photo, lossless("shallow_exit", 3))])
        while not (events := slots.step()) or not events[-1].is_finished:
            sizes.add(len(events))
    assert {
        1,
        3,
    } <= sizes  # tokens settled at once: the first draft was wrong, all three were right


def test_who_shares_the_batch_does_not_matter(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    exits = [lossless("fixed", 3), exits_with(DECODER_POLICIES["confidence"]), lossless("never", 2)]
    requests = [
        predictor.request("caption", photo, setting)
        for photo, setting in zip(photos, exits, strict=False)
    ]
    together = predictor.answer(requests)
    for request, answer in zip(requests, together, strict=True):
        (alone,) = predictor.answer([request])
        assert answer.token_ids == alone.token_ids
        assert answer.trace.cost.flops == alone.trace.cost.flops


def test_every_settled_token_has_one_event_in_order(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    slots = predictor.new_slots(1)
    (slot,) = slots.admit([predictor.request("caption", photos[0], lossless("fixed", 3))])
    rounds = []
    while not rounds or not rounds[-1] or not rounds[-1][-1].is_finished:
        rounds.append(slots.step())
    answer = slots.result(slot)
    assert rounds[0] == rounds[1] == []  # still drafting
    events = [event for events in rounds for event in events]
    assert tuple(event.added_text for event in events) == answer.text_parts
    assert [event.is_finished for event in events] == [False] * (len(events) - 1) + [True]


def flops(predictor: Predictor, request: Request) -> int:
    (answer,) = answer_all(predictor.new_slots(1), [request])
    return answer.trace.cost.flops


def test_drafts_that_are_right_cost_their_reading_of_the_vocabulary(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    """Drafted at full depth, nothing is left to compute but the choice, once more."""
    full = predictor.request("caption", photos[0], ExitConfig())
    checked = predictor.request("caption", photos[0], ExitConfig(lookahead=2))
    (answer,) = predictor.answer([full])
    vocabulary_size, width = predictor.tokenizer.vocabulary_size, 8
    per_token = 2 * vocabulary_size * width + 2 * 2 * width * predictor.model.config.adapter_size
    extra = flops(predictor, checked) - flops(predictor, full)
    assert extra == per_token * len(answer.token_ids)


def test_drafts_up_to_the_first_that_full_depth_would_not_choose_are_kept() -> None:
    draft = Draft(first=4, token_ids=[7, 8, 9])
    assert draft.settle([7, 5, 6]) == [7, 5]
    assert (draft.first, draft.token_ids) == (6, [])
    draft.token_ids = [1, 2]
    assert draft.settle([1, 2]) == [1, 2]
    assert draft.first == 8


@pytest.mark.parametrize(
    ("token_ids", "is_due"), [([5], False), ([5, 5, 5], True), ([5, 1], True), ([5, 5], False)]
)
def test_drafts_are_due_when_long_enough_or_ended(token_ids: list[int], is_due: bool) -> None:
    draft = Draft(first=2, token_ids=token_ids)
    assert draft.is_due(lookahead=3, max_new_tokens=10, end_id=1) is is_due
    assert draft.is_due(lookahead=3, max_new_tokens=2 + len(token_ids), end_id=1)


def test_label_is_not_drafted(predictor: Predictor, photos: list[Image.Image]) -> None:
    request = predictor.request("entailment", photos[0], lossless("fixed", 3), "a dog")
    assert (request.exits.lookahead, request.exits.decoder) == (None, NeverPolicy())


def test_beams_are_refused(predictor: Predictor, photos: list[Image.Image]) -> None:
    with pytest.raises(InputError, match="num_beams: 3 cannot be used with lookahead 2"):
        predictor.request("caption", photos[0], lossless("fixed", 2), num_beams=3)


def test_copied_states_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="lookahead: needs catch_up 'deferred', got 'copy_hidden'"
    ):
        parse_config({"catch_up": "copy_hidden", "lookahead": 3}, ExitConfig, "request")
