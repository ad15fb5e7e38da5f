"""Tags of photos: each leaves at its own depth with the words of that depth, in any batch."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation.flops import FlopModel
from model_core.policies import (
    ConfidencePolicy,
    EntropyPolicy,
    ExitPolicy,
    FixedDepthPolicy,
    NeverPolicy,
    SimilarityPolicy,
)
from model_core.policies.confidence import expected_f1
from model_core.predictor import Predictor
from model_core.readouts import heads_read
from model_core.tagging import chosen_words
from model_core.types import TagAnswer, TagWord
from tests.tiny_tags import TAG_WORDS

POLICIES: tuple[ExitPolicy, ...] = (
    NeverPolicy(),
    FixedDepthPolicy(depth=1),
    FixedDepthPolicy(depth=3),
    ConfidencePolicy(threshold=0.7),
    ConfidencePolicy(threshold=0.5, min_depth=2),
    SimilarityPolicy(threshold=0.6),
)


def without_times(answer: TagAnswer) -> TagAnswer:
    return replace(answer, cost=replace(answer.cost, stage_ms=None))  # type: ignore[arg-type]


def by_hand(tagging: Predictor, photo: Image.Image, depth: int) -> list[float]:
    """Probabilities at a depth, by the modules themselves."""
    model = tagging.model
    assert model.tag_heads is not None
    pixels = tagging.tag_request(photo, ExitConfig()).pixels
    assert pixels is not None
    with torch.inference_mode():
        hidden = model.embed_image(model.image_features(pixels[None].double()))
        hidden = model.encoder.run_layers(hidden, None, 0, depth)
        logits = model.tag_heads.logits(depth, model.tag_heads.features(depth, hidden))
    probabilities: list[float] = logits.sigmoid()[0].tolist()
    return probabilities


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_depth_it_left_at(
    tagging: Predictor, photos: list[Image.Image], depth: int
) -> None:
    exits = ExitConfig(image=FixedDepthPolicy(depth=depth))
    for photo, answer in zip(photos, tagging.tag(photos, exits), strict=True):
        assert answer.image.depth == depth
        assert answer.probabilities == pytest.approx(by_hand(tagging, photo, depth))
        assert answer.threshold == pytest.approx([0.6, 0.5, 0.4, 0.3][depth - 1])


def test_mixed_batch_equals_every_photo_alone(
    tagging: Predictor, photos: list[Image.Image]
) -> None:
    requests = [
        tagging.tag_request(photo, ExitConfig(image=policy))
        for policy in POLICIES
        for photo in photos
    ]
    together = tagging.tagger.answer(requests)
    alone = [tagging.tagger.answer([request])[0] for request in requests]
    assert len({answer.image.depth for answer in together}) == 4
    for one, other in zip(together, alone, strict=True):
        assert one.image.depth == other.image.depth
        assert one.probabilities == pytest.approx(other.probabilities)
        assert [word.word for word in one.words] == [word.word for word in other.words]
        assert without_times(one).cost == without_times(other).cost


def test_confident_photos_leave_at_the_first_depth_that_expects_enough(
    tagging: Predictor, photos: list[Image.Image]
) -> None:
    policy = ConfidencePolicy(threshold=0.7)
    for photo, answer in zip(photos, tagging.tag(photos, ExitConfig(image=policy)), strict=True):
        shares = torch.tensor([by_hand(tagging, photo, depth) for depth in (1, 2, 3, 4)])
        scores = expected_f1(shares.logit()).tolist()
        first = next((d for d, score in enumerate(scores, 1) if score >= 0.7), 4)
        assert answer.image.depth == first
        assert answer.image.scores == pytest.approx(scores[:first], rel=1e-4)


def test_stem_features_stand_for_the_photo(tagging: Predictor, photos: list[Image.Image]) -> None:
    pixels = tagging.tag_request(photos[0], ExitConfig()).pixels
    assert pixels is not None
    with torch.inference_mode():
        features = tagging.model.image_features(pixels[None].double())[0]
    ours, theirs = tagging.tag([features], ExitConfig()), tagging.tag(photos[:1], ExitConfig())
    assert ours[0].probabilities == pytest.approx(theirs[0].probabilities)


def test_expected_f1_by_hand() -> None:
    # One sure label of one; two that are even: the best is to give both, 2 * 1 / (2 + 1).
    shares = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.9, 0.2, 0.1]])
    expected = [1.0, 2 / 3, 2 * 0.9 / (1 + 1.2)]
    torch.testing.assert_close(expected_f1(shares.logit()), torch.tensor(expected))


def test_words_are_those_at_the_threshold_likeliest_first() -> None:
    found = chosen_words(TAG_WORDS, [0.5, 0.2, 0.9, 0.49, 0.6], 0.5)
    assert found == (TagWord("snow", 0.9), TagWord("cat", 0.6), TagWord("dog", 0.5))


@pytest.mark.parametrize(
    ("policy", "depth", "read"),
    [
        (NeverPolicy(), 4, [4]),
        (SimilarityPolicy(threshold=0.9), 2, [2]),
        (ConfidencePolicy(threshold=0.9), 3, [1, 2, 3]),
    ],
)
def test_heads_are_charged_where_they_are_read(
    policy: ExitPolicy, depth: int, read: list[int]
) -> None:
    assert heads_read(policy, depth) == read


def test_cost_by_hand(tagging: Predictor, photos: list[Image.Image]) -> None:
    exits = ExitConfig(image=ConfidencePolicy(threshold=0.0, min_depth=2))
    (answer,) = tagging.tag(photos[:1], exits)
    heads, flops = tagging.model.tag_heads, FlopModel(tagging.model.config, 0)
    assert heads is not None
    base = flops.stem() + flops.image_embedding()
    layer = flops.encoder_layer(4)
    assert answer.cost.flops == base + 2 * layer + heads.flops(1) + heads.flops(2)
    assert answer.cost.flops_full == base + 4 * layer + heads.flops(4)
    assert (answer.cost.layers_run, answer.cost.layers_full) == (2.0, 4.0)


def test_model_knows_its_words(tagging: Predictor, predictor: Predictor) -> None:
    assert tagging.info.tags == TAG_WORDS
    assert predictor.info.tags == ()


def test_model_without_tag_heads_is_refused(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    with pytest.raises(InputError, match=r"task tags needs tag heads \(tag_heads.safetensors\)"):
        predictor.tag(photos, ExitConfig())


def test_depth_beyond_the_model_is_refused(tagging: Predictor, photos: list[Image.Image]) -> None:
    with pytest.raises(InputError, match=r"image.depth: 5 exceeds the model's 4 layers"):
        tagging.tag(photos, ExitConfig(image=FixedDepthPolicy(depth=5)))


def test_confidence_at_the_image_is_for_tags_alone(
    tagging: Predictor, photos: list[Image.Image]
) -> None:
    exits = ExitConfig(image=ConfidencePolicy(threshold=0.5))
    with pytest.raises(InputError, match="image: policy 'confidence' reads an exit head, which"):
        tagging.request("caption", photos[0], exits)


@pytest.mark.parametrize("site", ["image", "text"])
def test_other_policies_that_read_a_head_stay_refused(site: str) -> None:
    with pytest.raises(ValueError, match=f"{site}: policy 'entropy' reads an exit head, which the"):
        ExitConfig.model_validate({site: EntropyPolicy(threshold=0.5)})
    with pytest.raises(ValueError, match="text: policy 'confidence' reads an exit head"):
        ExitConfig(text=ConfidencePolicy(threshold=0.5))


def test_tags_share_slots_and_batches_with_captions(
    tagging: Predictor, photos: list[Image.Image]
) -> None:
    """The caption's policy sees no head of the tags, though both are asked in one batch."""
    exits = ExitConfig(image=SimilarityPolicy(threshold=0.54))
    tags = [
        tagging.tag_request(photo, ExitConfig(image=policy)).as_request()
        for policy, photo in zip(POLICIES, photos, strict=True)
    ]
    captions = [tagging.request("caption", photo, exits) for photo in photos]
    requests = [request for pair in zip(tags, captions, strict=True) for request in pair]
    together = tagging.answer(requests, num_slots=len(requests))
    for request, got in zip(requests, together, strict=True):
        (alone,) = tagging.answer([request])
        assert (got.task, got.token_ids, got.threshold) == (
            *(alone.task, alone.token_ids, alone.threshold),
        )
        assert got.probabilities == pytest.approx(alone.probabilities)
        assert got.trace.encoder.image.depth == alone.trace.encoder.image.depth
    assert [tagging.tagger.tag_answer(one).words for one in together[::2]] == [
        tagging.tag([photo], request.exits)[0].words
        for request, photo in zip(tags, photos, strict=True)
    ]
    assert together[0].trace.encoder.text.depth == 0
    assert together[0].trace.decoder.tokens == ()
