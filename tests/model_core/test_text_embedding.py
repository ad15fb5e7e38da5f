"""Words of the text side's own: a map of the tied vectors, a low-rank correction, one table."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from model_core.checkpoint import load_checkpoint
from model_core.config import CONFIG_ROOT, ExitConfig, ModelConfig, load_config
from model_core.errors import ConfigError
from model_core.model import UnifiedModel
from model_core.predictor import Predictor
from model_core.text_embedding import TextEmbedding


def test_vector_is_the_map_of_the_tied_one_and_its_correction() -> None:
    tied = nn.Embedding.from_pretrained(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
    embedding = TextEmbedding(tied, rank=1)
    with torch.no_grad():
        embedding.projection.copy_(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
        embedding.bias.copy_(torch.tensor([10.0, 20.0]))
        embedding.codes.copy_(torch.tensor([[1.0], [-2.0]]))
        embedding.basis.copy_(torch.tensor([[0.5, 0.25]]))
    # (1, 2) -> (2*2, 1) + (10, 20) + 1 * (0.5, 0.25); (3, -1) -> (-2, 3) + (10, 20) - (1, 0.5)
    expected = torch.tensor([[14.5, 21.25], [7.0, 22.5]])
    torch.testing.assert_close(embedding(torch.tensor([0, 1])), expected)
    embedding.fold()
    torch.testing.assert_close(embedding(torch.tensor([[1], [0]])), expected[[1, 0]][:, None])


def test_starts_as_the_tied_vectors() -> None:
    torch.manual_seed(0)
    tied = nn.Embedding(5, 4)
    ids = torch.tensor([[4, 0, 2]])
    torch.testing.assert_close(TextEmbedding(tied, rank=2)(ids), tied(ids))


def test_fit_is_exact_when_the_rank_holds_what_the_map_leaves() -> None:
    torch.manual_seed(1)
    tied = nn.Embedding(40, 6)
    words = tied.weight.detach()
    wanted = words @ torch.randn(6, 6) + torch.randn(6) + torch.randn(40, 2) @ torch.randn(2, 6)
    ids = torch.arange(40)
    exact, short = TextEmbedding(tied, rank=2), TextEmbedding(tied, rank=1)
    exact.fit(wanted)
    short.fit(wanted)
    torch.testing.assert_close(exact(ids), wanted, atol=1e-4, rtol=1e-4)
    assert (short(ids) - wanted).norm() > 0.1
    wide = TextEmbedding(tied, rank=9)  # more than there are dimensions: the rest stays empty
    wide.fit(wanted)
    torch.testing.assert_close(wide(ids), wanted, atol=1e-4, rtol=1e-4)


def test_text_side_alone_uses_them(own_words_config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = UnifiedModel(own_words_config, 20).eval()
    ids = torch.tensor([[3, 7]])
    with torch.no_grad():
        text, target = model.embed_text(ids), model.embed_target(ids[0], torch.tensor([0, 1]))
        model.get_parameter("encoder.word_embedding.bias").add_(torch.arange(8.0))
        assert not torch.allclose(model.embed_text(ids), text)
        assert torch.equal(model.embed_target(ids[0], torch.tensor([0, 1])), target)


def test_checkpoint_keeps_them_and_stores_tied_vectors_once(own_words_checkpoint: Path) -> None:
    first, again = (
        load_checkpoint(own_words_checkpoint).model,
        load_checkpoint(own_words_checkpoint).model,
    )
    assert isinstance(again.encoder.word_embedding, TextEmbedding)
    assert again.encoder.word_embedding.word_embedding.weight is again.word_embedding.weight
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not any("table" in name for name in first.state_dict())


def test_answers_are_those_of_vectors_that_are_not_folded(
    own_words_checkpoint: Path, photos: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    def probabilities() -> dict[str, float]:
        predictor = Predictor.load(own_words_checkpoint)
        request = predictor.request("entailment", photos[0], ExitConfig(), "a dog runs")
        (answer,) = predictor.answer([request])
        return dict(answer.probabilities)

    folded = probabilities()
    monkeypatch.setattr(TextEmbedding, "fold", lambda self: None)
    assert probabilities() == pytest.approx(folded, abs=1e-5)


def test_folded_text_side_only_looks_up(own_words_checkpoint: Path) -> None:
    model, ids = load_checkpoint(own_words_checkpoint).model, torch.tensor([[3, 7]])
    with FlopCounterMode(display=False) as counter:
        model.embed_text(ids)
    assert counter.get_total_flops() > 0
    model.encoder.fold_text_embedding()
    with FlopCounterMode(display=False) as counter:
        model.embed_text(ids)
    assert counter.get_total_flops() == 0


def test_architecture_without_a_text_side_has_none() -> None:
    with pytest.raises(ConfigError, match="text_embedding_rank: 4 must be 0 for architecture"):
        load_config(CONFIG_ROOT / "model" / "coca.yaml", ModelConfig, ["text_embedding_rank=4"])
