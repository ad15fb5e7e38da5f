"""Learned heads: what they compute, where they are asked, and what a model without them answers."""

import math

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model_core.checkpoint import LoadedCheckpoint
from model_core.config import ExitConfig, ModelConfig
from model_core.errors import InputError
from model_core.model import UnifiedModel
from model_core.policies import ClassifierPolicy, ExitSignals, FixedDepthPolicy
from model_core.policy_heads import HEADS, AgreementClassifier, usable_kinds
from model_core.predictor import Predictor
from model_core.tokenizer import WordPieceTokenizer


def signals_at(depth: int, hidden: Tensor) -> ExitSignals:
    return ExitSignals(
        depth=depth,
        num_layers=4,
        hidden=hidden[:, None],
        previous=torch.zeros_like(hidden)[:, None],
        mask=None,
        steps=torch.zeros(len(hidden)),
        max_steps=torch.ones(len(hidden)),
        compute_features=lambda: hidden,
        compute_logits=lambda features: features[:, :3],
    )


def test_classifier_by_hand(tiny_config: ModelConfig) -> None:
    heads = AgreementClassifier(tiny_config)
    with torch.no_grad():
        for value in heads.parameters():
            value.zero_()
        # Unit 0 of depth 2 reads twice the first number of a state, and once the last.
        heads.inner[1].weight[0, 0] = 2.0
        heads.inner[1].weight[0, 7] = 1.0
        heads.outer[1].weight[0, 0] = 1.0
        heads.outer[1].bias[0] = -1.0
        hidden = torch.zeros(2, 8)
        hidden[:, 0] = torch.tensor([1.0, 0.5])
        hidden[:, 7] = torch.tensor([1.0, -2.0])
        score = heads(signals_at(2, hidden))
    inner = [3.0, -1.0]  # 2 * 1 + 1 and 2 * 0.5 - 2
    gelu = [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in inner]
    expected = [1 / (1 + math.exp(-(value - 1))) for value in gelu]
    torch.testing.assert_close(score, torch.tensor(expected))


def test_every_depth_but_the_last_has_a_head(tiny_config: ModelConfig) -> None:
    heads = AgreementClassifier(tiny_config)
    assert len(heads.inner) == len(heads.outer) == tiny_config.num_decoder_layers - 1


def test_operations_by_hand(tiny_config: ModelConfig) -> None:
    # 8 x 64 and 64 x 1 multiply-adds.
    assert AgreementClassifier.flops(tiny_config) == 2 * (8 * 64 + 64)


class CountingModel(UnifiedModel):
    """Counts what a policy makes it compute."""

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        self.calls: list[str] = []

    def exit_features(self, depth: int, hidden: Tensor) -> Tensor:
        self.calls.append(f"features {depth}")
        return super().exit_features(depth, hidden)

    def exit_logits(self, features: Tensor, candidates: Tensor | None = None) -> Tensor:
        self.calls.append("logits")
        return super().exit_logits(features, candidates)

    def learned_score(self, kind: str, signals: ExitSignals) -> Tensor:
        self.calls.append(f"score {signals.depth}")
        return super().learned_score(kind, signals)


@pytest.fixture
def counting(tiny_config: ModelConfig, tokenizer: WordPieceTokenizer) -> Predictor:
    torch.manual_seed(0)
    model = CountingModel(tiny_config, tokenizer.vocabulary_size)
    for kind, (heads_class, _) in HEADS.items():
        model.policy_heads[kind] = heads_class(tiny_config)
    return Predictor(LoadedCheckpoint(model, tokenizer, "counting"))


def calls_of_one_step(
    predictor: Predictor, photo: Image.Image, threshold: float, task: str = "caption"
) -> list[str]:
    """What one decoding step of one request computes."""
    exits = ExitConfig(decoder=ClassifierPolicy(threshold=threshold))
    hypothesis = None if task == "caption" else "a dog"
    request = predictor.request(task, photo, exits, hypothesis, max_new_tokens=1)
    predictor.answer([request])
    assert isinstance(predictor.model, CountingModel)
    return predictor.model.calls


def test_features_and_vocabulary_are_read_once_at_the_exit(
    counting: Predictor, photos: list[Image.Image]
) -> None:
    calls = calls_of_one_step(counting, photos[0], threshold=1.0)
    assert calls == ["score 1", "score 2", "score 3", "features 4", "logits"]


@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_row_that_leaves_at_once_reads_one_depth(
    counting: Predictor, photos: list[Image.Image], task: str
) -> None:
    calls = calls_of_one_step(counting, photos[0], threshold=0.0, task=task)
    assert calls == ["score 1", "features 1", "logits"]


def test_threshold_zero_is_the_shallowest_fixed_depth(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    policies = (ClassifierPolicy(threshold=0.0, min_depth=2), FixedDepthPolicy(depth=2))
    learned, fixed = (
        predictor.answer(
            [predictor.request("caption", photo, ExitConfig(decoder=policy)) for photo in photos]
        )
        for policy in policies
    )
    assert [answer.token_ids for answer in learned] == [answer.token_ids for answer in fixed]


def test_score_of_an_answer_is_that_of_the_heads(
    predictor: Predictor, photos: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, float]] = []
    original = predictor.model.learned_score

    def watch(kind: str, signals: ExitSignals) -> Tensor:
        score = original(kind, signals)
        seen.append((signals.depth, float(score[0])))
        return score

    monkeypatch.setattr(predictor.model, "learned_score", watch)
    exits = ExitConfig(decoder=ClassifierPolicy(threshold=1.0))
    request = predictor.request("entailment", photos[0], exits, hypothesis="a dog")
    (answer,) = predictor.answer([request])
    (token,) = answer.trace.decoder.tokens
    assert [depth for depth, _ in seen] == [1, 2, 3]
    assert list(token.scores) == pytest.approx([*(score for _, score in seen), 1.0])


@pytest.fixture
def without_heads(tiny_config: ModelConfig, tokenizer: WordPieceTokenizer) -> Predictor:
    model = UnifiedModel(tiny_config, tokenizer.vocabulary_size)
    return Predictor(LoadedCheckpoint(model, tokenizer, "plain"))


def test_model_without_heads_says_what_is_missing_and_what_makes_it(
    without_heads: Predictor, photos: list[Image.Image]
) -> None:
    exits = ExitConfig(decoder=ClassifierPolicy(threshold=0.5))
    message = (
        r"decoder: policy 'classifier' needs learned heads \(exit_classifier\.safetensors\), .* "
        r"python -m model_core train --config configs/train/flickr8k-classifier\.yaml makes them"
    )
    with pytest.raises(InputError, match=message):
        without_heads.request("caption", photos[0], exits)
    assert without_heads.info.learned_kinds == ()


def test_kinds_without_their_heads_are_left_out() -> None:
    kinds = ["confidence", "classifier", "similarity"]
    assert usable_kinds(kinds, ["classifier"]) == kinds
    assert usable_kinds(kinds, []) == ["confidence", "similarity"]


def test_model_says_which_heads_it_has(predictor: Predictor) -> None:
    assert predictor.info.learned_kinds == tuple(HEADS)


@pytest.mark.parametrize("kind", HEADS)
def test_operations_agree_with_the_counter(tiny_config: ModelConfig, kind: str) -> None:
    heads_class = HEADS[kind].heads_class
    heads, two_rows = heads_class(tiny_config), signals_at(1, torch.zeros(2, 8))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        heads(two_rows)
    assert counter.get_total_flops() == 2 * heads_class.flops(tiny_config)
