"""Costs counted along the way: against the closed form, against torch's counter, and by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model_core.config import CatchUp, ExitConfig
from model_core.evaluation.flops import FlopModel
from model_core.policies import (
    ClassifierPolicy,
    ConfidencePolicy,
    FixedDepthPolicy,
    NeverPolicy,
    ShallowExitPolicy,
    SimilarityPolicy,
)
from model_core.predictor import Predictor
from model_core.request import Request
from model_core.types import Answer, ModalityTrace
from tests.oracle import DECODER_POLICIES, exits_with, make_requests


def flop_model(predictor: Predictor) -> FlopModel:
    return FlopModel(predictor.model.config, predictor.tokenizer.vocabulary_size)


def closed_form(predictor: Predictor, request: Request, answer: Answer) -> tuple[int, int]:
    """Operations from the trace alone, which is possible where there is one beam."""
    encoder, tokens = answer.trace.encoder, answer.trace.decoder.tokens
    config = predictor.model.config
    flops = flop_model(predictor)
    num_outputs = len(request.labels) or predictor.tokenizer.vocabulary_size
    is_copying = request.exits.catch_up is CatchUp.COPY_HIDDEN
    decoded = [(token.depth if is_copying else token.computed_depth) for token in tokens]
    copied = [token.computed_depth - run for token, run in zip(tokens, decoded, strict=True)]
    run = layers_form(predictor, request, encoder.image.depth, encoder.text, decoded)
    run += max(token.depth for token in tokens) * memory_form(predictor, request)
    run += sum(copied) * flop_model(predictor).copied_key_value()
    policy = request.exits.decoder
    for token in tokens:
        looks = token.depth
        if isinstance(policy, ShallowExitPolicy):  # one look, and another choice for who stays
            looks = 1 if token.depth == policy.depth else 2
        run += flops.exit_features() * (looks if policy.needs_features else 1)
        run += flops.exit_logits(num_outputs) * (looks if policy.needs_logits else 1)
        if policy.learned_kind:
            run += flops.learned_score(policy.learned_kind) * min(token.depth, 3)
    num_layers = config.num_decoder_layers
    at_full = replace(encoder.text, depth=config.num_encoder_layers)
    all_layers = [num_layers] * len(tokens)
    full = layers_form(predictor, request, config.num_encoder_layers, at_full, all_layers)
    full += num_layers * memory_form(predictor, request)
    full += flops.exit_head(num_outputs) * len(tokens)
    return run, full


def memory_length(predictor: Predictor, request: Request) -> int:
    return predictor.model.config.stem.num_image_tokens + len(request.text_ids)


def memory_form(predictor: Predictor, request: Request) -> int:
    return flop_model(predictor).memory_key_value(memory_length(predictor, request))


def layers_form(
    predictor: Predictor,
    request: Request,
    image_depth: int,
    text: ModalityTrace,
    decoded: Sequence[int],
) -> int:
    """Stem, embeddings and layers; ``decoded`` is how many each position ran in the decoder."""
    flops = flop_model(predictor)
    total = flops.stem() + flops.image_embedding()
    total += image_depth * flops.encoder_layer(predictor.model.config.stem.num_image_tokens)
    total += (0 if text.from_cache else text.depth) * flops.encoder_layer(len(request.text_ids))
    length = memory_length(predictor, request)
    return total + sum(
        layers * flops.decoder_position(position, length) for position, layers in enumerate(decoded)
    )


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("name", DECODER_POLICIES)
def test_one_beam_costs_what_its_trace_says(
    predictor: Predictor, photos: list[Image.Image], name: str, catch_up: CatchUp
) -> None:
    requests = make_requests(predictor, photos, exits_with(DECODER_POLICIES[name], catch_up))
    for request, answer in zip(requests, predictor.answer(requests), strict=True):
        cost = answer.trace.cost
        assert (cost.flops, cost.flops_full) == closed_form(predictor, request, answer)


@pytest.mark.parametrize(
    ("exits", "tolerance"),
    [
        (ExitConfig(), 1e-9),
        (ExitConfig(decoder=FixedDepthPolicy(depth=2)), 1e-9),
        (ExitConfig(decoder=FixedDepthPolicy(depth=2), catch_up=CatchUp.COPY_HIDDEN), 1e-9),
        # A caught-up block looks at masked keys too, and a window attends for nobody in its gaps;
        # neither is counted: it shows at width 8.
        (ExitConfig(decoder=SimilarityPolicy(threshold=0.4)), 0.03),
        (ExitConfig(decoder=ConfidencePolicy(threshold=0.25)), 0.03),
        (ExitConfig(decoder=ClassifierPolicy(threshold=0.6)), 0.03),
    ],
    ids=["full", "fixed", "copy", "similarity", "confidence", "classifier"],
)
def test_operations_of_all_beams_agree_with_the_counter(
    predictor: Predictor, photos: list[Image.Image], exits: ExitConfig, tolerance: float
) -> None:
    request = predictor.request("caption", photos[1], exits, num_beams=4)
    predictor.answer([request])  # the instruction is encoded before counting
    # The counter has no formula for the fused attention of CPUs.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        (answer,) = predictor.answer([request])
    # Without the stem, which would hide an error in the layers.
    stem = flop_model(predictor).stem()
    counted_flops = counter.get_total_flops() - stem
    assert answer.trace.cost.flops - stem == pytest.approx(counted_flops, rel=tolerance)


def test_full_depth_runs_the_same_rows_through_every_layer(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    request = predictor.request("caption", photos[0], ExitConfig(), max_new_tokens=3)
    greedy, beams = predictor.answer([request, replace(request, num_beams=3)])
    assert beams.trace.cost.flops == beams.trace.cost.flops_full
    # One row runs in the first step and three in the two others: twice two more than greedy.
    flops = flop_model(predictor)
    length = memory_length(predictor, request)
    layers = [4 * flops.decoder_position(position, length) for position in (1, 2)]
    more = 2 * (sum(layers) + 2 * flops.exit_head(predictor.tokenizer.vocabulary_size))
    assert beams.trace.cost.flops == greedy.trace.cost.flops + more


def test_layers_are_those_of_the_winner(predictor: Predictor, photos: list[Image.Image]) -> None:
    exits = ExitConfig(image=FixedDepthPolicy(depth=1), text=NeverPolicy())
    exits = exits.model_copy(update={"decoder": ConfidencePolicy(threshold=0.25)})
    request = predictor.request("caption", photos[2], exits, num_beams=5)
    (answer,) = predictor.answer([request])
    depths = [token.depth for token in answer.trace.decoder.tokens]
    assert len(set(depths)) > 1
    assert answer.trace.cost.layers_run == (1 + 4) / 2 + sum(depths) / len(depths)
