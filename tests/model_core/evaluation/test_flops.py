"""Analytic operations against torch's counter, and by hand."""

import json
from statistics import median

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model_core.checkpoint import LoadedCheckpoint
from model_core.config import CONFIG_ROOT, CatchUp, ExitConfig, ModelConfig, load_config
from model_core.evaluation.flops import FlopModel
from model_core.model import UnifiedModel
from model_core.policies import (
    ClassifierPolicy,
    ConfidencePolicy,
    FixedDepthPolicy,
    SimilarityPolicy,
)
from model_core.predictor import Predictor
from model_core.request import Request
from model_core.tokenizer import WordPieceTokenizer
from tests.tiny import tiny_tokenizer

SHIPPED_VOCABULARY = 6000  # about that of the shipped tokenizer


@pytest.mark.parametrize(
    "exits",
    [
        ExitConfig(),
        ExitConfig(image=FixedDepthPolicy(depth=2), decoder=FixedDepthPolicy(depth=1)),
        ExitConfig(decoder=ConfidencePolicy(threshold=0.25)),
        ExitConfig(decoder=ClassifierPolicy(threshold=0.6)),
        ExitConfig(decoder=ClassifierPolicy(threshold=1.0)),
        ExitConfig(decoder=SimilarityPolicy(threshold=0.4)),
        ExitConfig(decoder=SimilarityPolicy(threshold=0.4), catch_up=CatchUp.COPY_HIDDEN),
    ],
    ids=["full", "fixed", "confidence", "classifier", "classifier_full", "similarity", "copy"],
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


@pytest.fixture(scope="module")
def shipped_shapes() -> Predictor:
    """A random model of the shipped one's sizes."""
    content = json.loads(tiny_tokenizer().to_json())
    vocabulary = content["model"]["vocab"]
    for number in range(len(vocabulary), SHIPPED_VOCABULARY):
        vocabulary[f"piece{number}"] = number
    tokenizer = WordPieceTokenizer(Tokenizer.from_str(json.dumps(content)))
    overrides = ["embedding_size=0"]  # no answer uses the poolers
    config = load_config(CONFIG_ROOT / "model" / "offramp-s.yaml", ModelConfig, overrides)
    torch.manual_seed(0)
    model = UnifiedModel(config, tokenizer.vocabulary_size).eval()
    return Predictor(LoadedCheckpoint(model, tokenizer, "random"))


def make_request(
    predictor: Predictor, task: str, photo: Image.Image, exits: ExitConfig, num_beams: int = 1
) -> Request:
    if task == "entailment":
        return predictor.request(task, photo, exits, hypothesis="a dog runs")
    return predictor.request(task, photo, exits, max_new_tokens=6, num_beams=num_beams)


def mixed_exits(predictor: Predictor, photo: Image.Image) -> ExitConfig:
    """Tokens of one caption leave at different depths: half of the scores reach the threshold."""
    never = ExitConfig(decoder=SimilarityPolicy(threshold=1.0))
    (answer,) = predictor.answer([make_request(predictor, "caption", photo, never)])
    scores = [score for token in answer.trace.decoder.tokens for score in token.scores[:-1]]
    return ExitConfig(
        image=FixedDepthPolicy(depth=4), decoder=SimilarityPolicy(threshold=median(scores))
    )


@pytest.mark.parametrize(
    ("task", "name", "num_beams"),
    [
        ("caption", "full", 1),
        ("caption", "fixed", 1),
        ("caption", "mixed", 1),
        ("caption", "copied", 1),
        ("caption", "confident", 1),
        ("caption", "full", 3),
        ("caption", "mixed", 3),
        ("entailment", "full", 1),
        ("entailment", "fixed", 1),
        ("entailment", "mixed", 1),
        ("entailment", "confident", 1),
    ],
)
def test_shipped_shapes_agree_within_a_percent(
    shipped_shapes: Predictor, photos: list[Image.Image], task: str, name: str, num_beams: int
) -> None:
    fixed = FixedDepthPolicy(depth=2)
    mixed = mixed_exits(shipped_shapes, photos[1])
    exits = {
        "full": ExitConfig(),
        "fixed": ExitConfig(image=fixed, text=fixed, decoder=fixed),
        "mixed": mixed,
        "copied": mixed.model_copy(update={"catch_up": CatchUp.COPY_HIDDEN}),
        "confident": ExitConfig(decoder=ConfidencePolicy(threshold=0.5)),
    }[name]
    request = make_request(shipped_shapes, task, photos[1], exits, num_beams)
    shipped_shapes.answer([request])  # the instruction is encoded before counting
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        (answer,) = shipped_shapes.answer([request])
    stem = FlopModel(shipped_shapes.model.config, SHIPPED_VOCABULARY).stem()
    counted_flops = counter.get_total_flops() - stem
    assert answer.trace.cost.flops - stem == pytest.approx(counted_flops, rel=0.01)
    if name == "confident":  # the vocabulary is read at every depth, and nothing is saved
        assert answer.trace.cost.flops >= answer.trace.cost.flops_full
        return
    assert answer.trace.cost.flops_full >= answer.trace.cost.flops
    if name != "full":
        assert answer.trace.cost.flops < answer.trace.cost.flops_full
    if (name, task) == ("mixed", "caption"):
        tokens = answer.trace.decoder.tokens
        assert len({token.depth for token in tokens}) > 1
    if (name, task, num_beams) == ("mixed", "caption", 1):
        assert any(token.caught_up for token in answer.trace.decoder.tokens)
