"""A text side with words of its own learns; captions, photos and tied words are held."""

from pathlib import Path

import pytest
import torch
import yaml

from model_core.checkpoint import save_checkpoint
from model_core.config import CONFIG_ROOT, ModelConfig, load_config
from model_core.convert import load_source_tokenizer, load_text_weights
from model_core.errors import ConfigError
from model_core.model import UnifiedModel
from model_core.training.config import TrainConfig
from model_core.training.loop import Trainer
from model_core.training.start import start_model
from model_core.training.text_embedding import TextEmbeddingRecipe
from tests.model_core.training.heads_run import metrics, values_of


def run_config(
    tiny: ModelConfig, checkpoint: Path, data: Path, folder: Path, objective: str
) -> TrainConfig:
    values = values_of(objective, tiny, checkpoint, data, folder)
    loss = {"contrastive_weight": 0, "shallow_memory_fraction": 0.5, "exits_per_step": 3}
    return TrainConfig.model_validate(
        values | {"teacher": str(checkpoint), "loss": loss, "num_steps": 8}
    )


@pytest.mark.parametrize("objective", ["text_embedding", "premise_guidance"])
def test_only_the_text_side_and_what_it_shares_learns(
    objective: str,
    own_words_config: ModelConfig,
    own_words_checkpoint: Path,
    data_folder: Path,
    tmp_path: Path,
) -> None:
    trainer = Trainer(
        run_config(own_words_config, own_words_checkpoint, data_folder, tmp_path, objective)
    )
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.run()
    changed = {
        name
        for name, value in trainer.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert {name.split(".")[0] for name in changed} == {"encoder", "decoder", "exit_head"}
    assert "encoder.word_embedding.projection" in changed
    assert "encoder.word_embedding.codes" in changed
    assert "decoder.layers.0.mlp_in.weight" in changed
    held = ("image_projection", "image_position", "image_norm", "feature_")
    assert "exit_head.bias" not in changed
    assert "decoder.position.weight" not in changed
    assert not any(name.endswith("word_embedding.weight") for name in changed)
    assert not any(name.startswith(f"encoder.{part}") for part in held for name in changed)


def test_an_unchanged_student_has_nothing_to_imitate(
    own_words_config: ModelConfig, own_words_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(
        own_words_config, own_words_checkpoint, data_folder, tmp_path, "text_embedding"
    )
    loss = config.loss.model_copy(update={"shallow_memory_fraction": 0})
    trainer = Trainer(config.model_copy(update={"loss": loss}))
    recipe = trainer._recipe
    assert isinstance(recipe, TextEmbeddingRecipe)
    teacher = recipe._teacher.model
    teacher.load_state_dict(trainer.model.state_dict(), strict=False)  # features' scale
    trainer.model.eval()  # without dropout the student is its teacher
    parts = recipe.losses(0).parts
    for name in ("caption", "image"):
        torch.testing.assert_close(parts[name], torch.tensor(0.0), atol=1e-6, rtol=0)
    assert parts["entailment"] > 0.1
    trainer.run()
    assert metrics(tmp_path / "run")[-1]["image_loss"] > 0


def test_a_checkpoint_with_tied_words_starts_again_from_minilm(
    data_folder: Path, tmp_path: Path
) -> None:
    sizes = ["num_encoder_layers=1", "num_decoder_layers=1", "stem.width_multiplier=0.1"]
    own = load_config(CONFIG_ROOT / "model" / "offramp-s.yaml", ModelConfig, sizes)
    tied = load_config(CONFIG_ROOT / "model" / "offramp-s-tied.yaml", ModelConfig, sizes)
    source = load_source_tokenizer()
    vocabulary = source.prune(["a dog runs on the grass", "two people in the snow"])
    torch.manual_seed(0)
    model = UnifiedModel(tied, vocabulary.tokenizer.vocabulary_size)
    save_checkpoint(model, vocabulary.tokenizer, tmp_path / "tied", torch.float32)
    model_file = tmp_path / "own.yaml"
    model_file.write_text(yaml.safe_dump(own.model_dump(mode="json")))
    values = {"model": str(model_file), "objective": "text_embedding"}
    config = TrainConfig.model_validate(values | {"start_from": str(tmp_path / "tied")})
    started = start_model(config).model.eval()

    released = UnifiedModel(own, vocabulary.tokenizer.vocabulary_size).eval()
    load_text_weights(released, vocabulary.source_ids)
    ids = torch.tensor([[5, 20, 41, 6]])
    with torch.no_grad():
        # As many dimensions as pieces: map and correction can be exact.
        torch.testing.assert_close(
            started.embed_text(ids), released.embed_text(ids), atol=1e-3, rtol=1e-3
        )
    assert torch.equal(started.word_embedding.weight, model.word_embedding.weight)
    assert vocabulary.tokenizer.ids_in(source) == vocabulary.source_ids


def test_a_model_with_tied_words_is_refused(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(tiny_config, tiny_checkpoint, data_folder, tmp_path, "text_embedding")
    with pytest.raises(ConfigError, match="text_embedding_rank: must be above 0"):
        Trainer(config)


def test_a_teacher_must_be_named(
    own_words_config: ModelConfig, own_words_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(
        own_words_config, own_words_checkpoint, data_folder, tmp_path, "premise_guidance"
    )
    with pytest.raises(ConfigError, match="teacher: objective 'premise_guidance' needs"):
        Trainer(config.model_copy(update={"teacher": None}))
