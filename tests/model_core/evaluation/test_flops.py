"""Analytic operations against torch's counter, and by hand."""

import pytest
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model_core.config import CatchUp, ExitConfig
from model_core.evaluation.flops import FlopModel
from model_core.policies import ConfidencePolicy, FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Predictor


@pytest.mark.parametrize(
    "exits",
    [
        ExitConfig(),
        ExitConfig(image=FixedDepthPolicy(depth=2), decoder=FixedDepthPolicy(depth=1)),
        ExitConfig(decoder=ConfidencePolicy(threshold=0.25)),
        ExitConfig(decoder=SimilarityPolicy(threshold=0.4)),
        ExitConfig(decoder=SimilarityPolicy(threshold=0.4), catch_up=CatchUp.COPY_HIDDEN),
    ],
    ids=["full", "fixed", "confidence", "similarity", "copy"],
)
def test_answer_agrees_with_the_counter(
    predictor: Predictor, photos: list[Image.Image], exits: ExitConfig
) -> None:
    request = predictor.request("entailment", photos[1], exits, hypothesis="a dog runs")
    caption = predictor.request("caption", photos[1], exits)
    predictor.answer([caption])  # the instruction is encoded before counting
    for counted in (request, caption):
        # The counter has no formula for the fused attention of CPUs.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            (answer,) = predictor.answer([counted])
        # Without the stem, which would hide an error in the layers.
        stem = FlopModel(predictor.model.config, predictor.tokenizer.vocabulary_size).stem()
        counted_flops = counter.get_total_flops() - stem
        # A caught-up block looks at masked keys too, which we do not count: it shows at width 8.
        has_blocks = any(token.caught_up for token in answer.trace.decoder.tokens)
        tolerance = 0.02 if has_blocks else 1e-9
        assert answer.trace.cost.flops - stem == pytest.approx(counted_flops, rel=tolerance)


def test_stem_agrees_with_the_counter(predictor: Predictor) -> None:
    side = predictor.model.config.stem.image_size
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        predictor.model.image_features(torch.zeros(1, 3, side, side, dtype=torch.float64))
    flops = FlopModel(predictor.model.config, predictor.tokenizer.vocabulary_size)
    assert flops.stem() == counter.get_total_flops()


def test_encoder_layer_by_hand(predictor: Predictor) -> None:
    # D = 8, F = 16, T = 3: projections 4DD, MLP 2DF, scores and values 2TD; two operations each
    flops = FlopModel(predictor.model.config, 10)
    assert flops.encoder_layer(3) == 2 * 3 * (4 * 64 + 2 * 128 + 2 * 3 * 8)
