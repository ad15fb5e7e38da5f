"""Answers that are there once the encoder has run: vectors, slots, costs and refusals."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model_core.config import ExitConfig
from model_core.embedding import embed, join
from model_core.errors import InputError
from model_core.policies import FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Content, Predictor
from model_core.types import Answer, ModalityTrace

SENTENCES = ["a dog", "A dog runs on  grass .", "two people in snow"]
EARLY = ExitConfig(
    image=SimilarityPolicy(threshold=0.54), text=SimilarityPolicy(threshold=0.36)
)  # some rows leave, some stay


@pytest.fixture(scope="module")
def pooled(pooled_checkpoint: Path) -> Predictor:
    return Predictor.load(pooled_checkpoint, dtype="float64")


def vector(answer: Answer) -> torch.Tensor:
    return torch.tensor(answer.embedding)


def plain_vector(pooled: Predictor, content: Content, depth: int) -> torch.Tensor:
    """Without requests, slots or exits."""
    model = pooled.model
    assert model.poolers is not None
    with torch.inference_mode():
        if isinstance(content, str):
            words = content.lower().removesuffix(" .")
            ids = [pooled.tokenizer.start_id, *pooled.tokenizer.encode(words)]
            states = model.embed_text(torch.tensor([[*ids, pooled.tokenizer.end_id]]))
            pooler = model.poolers.text
        else:
            request = pooled.embedding_request(content, ExitConfig())
            assert request.pixels is not None
            states = model.embed_image(model.image_features(request.pixels[None].double()))
            pooler = model.poolers.image
        states = model.encoder.run_layers(states, None, 0, depth)
        (found,) = pooler(model.encoder.memory_norm(states), None)
    return found


def test_vector_is_the_poolers_at_the_depth_where_the_content_left(
    pooled: Predictor, photos: list[Image.Image]
) -> None:
    contents: list[Content] = [*photos, *SENTENCES]
    found = embed(pooled, contents, EARLY)
    assert len(set(found.depths[: len(photos)])) > 1 and len(set(found.depths[len(photos) :])) > 1
    for content, row, depth in zip(contents, found.vectors, found.depths, strict=True):
        torch.testing.assert_close(row, plain_vector(pooled, content, depth))
        assert float(row.norm()) == pytest.approx(1.0)


def test_parts_are_joined_in_order(pooled: Predictor) -> None:
    parts = [embed(pooled, [sentence], EARLY) for sentence in SENTENCES]
    whole = embed(pooled, SENTENCES, EARLY)
    assert join(parts).depths == whole.depths
    torch.testing.assert_close(join(parts).vectors, whole.vectors)


def test_requests_of_all_kinds_share_a_batch_and_get_what_they_get_alone(
    pooled: Predictor, photos: list[Image.Image]
) -> None:
    requests = [
        pooled.embedding_request(SENTENCES[1], EARLY),
        pooled.request("caption", photos[0], EARLY),
        pooled.embedding_request(photos[1], EARLY),
        pooled.request("entailment", photos[2], EARLY, hypothesis="a cat"),
        pooled.embedding_request(SENTENCES[0], EARLY),
        pooled.embedding_request(photos[3], EARLY),
    ]
    pooled.answer(requests)  # the instruction is encoded once for a model
    together = pooled.answer(requests, num_slots=len(requests))
    for request, got in zip(requests, together, strict=True):
        (alone,) = pooled.answer([request])
        assert (got.task, got.text, got.token_ids) == (alone.task, alone.text, alone.token_ids)
        torch.testing.assert_close(vector(got), vector(alone))
        for one, other in (
            (got.trace.encoder.image, alone.trace.encoder.image),
            (got.trace.encoder.text, alone.trace.encoder.text),
        ):
            assert one.depth == other.depth
            assert one.scores == pytest.approx(other.scores, abs=1e-10)
        assert got.trace.cost.flops == alone.trace.cost.flops


def test_a_batch_without_any_photo_is_encoded(pooled: Predictor) -> None:
    requests = [pooled.embedding_request(sentence, EARLY) for sentence in SENTENCES]
    vectors = torch.stack([vector(answer) for answer in pooled.answer(requests)])
    torch.testing.assert_close(vectors, embed(pooled, SENTENCES, EARLY).vectors)


def test_an_answer_of_the_encoder_takes_one_slot_and_one_step(
    pooled: Predictor, photos: list[Image.Image]
) -> None:
    slots = pooled.new_slots(3)
    caption = pooled.request("caption", photos[0], ExitConfig())
    decoding, ready = slots.admit([caption, pooled.embedding_request("a dog", ExitConfig())])
    assert slots.num_free == 1
    with pytest.raises(ValueError, match=f"slot {ready} is not finished"):
        slots.result(ready)
    events = {event.slot: event for event in slots.step()}
    assert events[ready].is_finished and not events[decoding].is_finished
    assert (events[ready].added_text, events[ready].depth) == ("", 0)
    assert [event.slot for event in slots.step()] == [decoding]  # it is told once
    assert len(slots.result(ready).embedding) == 6
    slots.release(ready)
    assert slots.num_free == 2


def test_who_decodes_is_not_disturbed_by_who_does_not(
    pooled: Predictor, photos: list[Image.Image]
) -> None:
    slots = pooled.new_slots(2)
    caption = pooled.request("caption", photos[1], EARLY)
    (expected,) = pooled.answer([caption])
    (slot,) = slots.admit([caption])
    for _ in range(20):
        (other,) = slots.admit([pooled.embedding_request(photos[2], EARLY)])
        finished = {event.slot for event in slots.step() if event.is_finished}
        assert other in finished
        slots.release(other)
        if slot in finished:
            break
    assert slots.result(slot).token_ids == expected.token_ids


@pytest.mark.parametrize("content", ["a dog runs", "photo"])
def test_operations_agree_with_the_counter(
    pooled: Predictor, photos: list[Image.Image], content: str
) -> None:
    exits = ExitConfig(image=FixedDepthPolicy(depth=3), text=FixedDepthPolicy(depth=3))
    given: Content = photos[0] if content == "photo" else content
    request = pooled.embedding_request(given, exits)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        (answer,) = pooled.answer([request])
    cost = answer.trace.cost
    assert cost.flops == counter.get_total_flops()
    assert (cost.layers_run, cost.layers_full) == (3, 4)
    assert cost.flops < cost.flops_full
    assert cost.stage_ms.decode == 0


def test_trace_holds_what_ran_and_nothing_else(
    pooled: Predictor, photos: list[Image.Image]
) -> None:
    exits = ExitConfig(image=FixedDepthPolicy(depth=2))
    photo, text = pooled.answer(
        [pooled.embedding_request(item, exits) for item in (photos[0], "a dog")]
    )
    assert (photo.trace.encoder.image.depth, text.trace.encoder.text.depth) == (2, 4)
    absent = ModalityTrace(0, 4, (), ())
    assert photo.trace.encoder.text == text.trace.encoder.image == absent
    assert photo.trace.decoder.tokens == text.trace.decoder.tokens == ()


def test_model_without_poolers_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"tiny has no poolers \(embedding_size: 0\)"):
        predictor.embedding_request("a dog", ExitConfig())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" . ", "text: is empty; give a sentence"),
        ("a " * 30, "text: 30 word pieces; at most 22 are allowed"),
    ],
)
def test_wrong_text_is_refused(pooled: Predictor, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pooled.embedding_request(text, ExitConfig())


def test_offline_a_long_text_is_cut(pooled: Predictor) -> None:
    long = embed(pooled, ["a " * 30, "a " * 23], ExitConfig())
    torch.testing.assert_close(long.vectors[0], long.vectors[1])


def test_too_deep_a_policy_is_refused(pooled: Predictor) -> None:
    exits = ExitConfig(text=FixedDepthPolicy(depth=5))
    with pytest.raises(InputError, match=r"text\.depth: 5 exceeds the model's 4 layers"):
        pooled.embedding_request("a dog", exits)
