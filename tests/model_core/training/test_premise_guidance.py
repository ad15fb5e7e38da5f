"""What is asked with a premise guides what is asked without; similar photos lend hypotheses."""

from pathlib import Path

import numpy as np
import torch

from model_core.config import ModelConfig
from model_core.training.loop import Trainer
from model_core.training.premise_guidance import PremiseGuidanceRecipe, similar_photos
from tests.model_core.training.heads_run import metrics
from tests.model_core.training.test_text_embedding import run_config


def test_nearest_by_mean_features_and_never_itself() -> None:
    # Two pairs of photos that point the same way, seen through two tokens each.
    means = np.array([[1.0, 0.1], [-1.0, 0.2], [0.9, 0.2], [-0.9, 0.1]])
    features = np.stack([means + 0.3, means - 0.3], axis=1).astype(np.float16)
    assert similar_photos(features, 1).tolist() == [[2], [3], [0], [1]]
    everyone = similar_photos(features, 10)
    assert everyone.shape == (4, 3)
    assert all(photo not in row for photo, row in enumerate(everyone.tolist()))


def test_borrowed_hypotheses_come_from_similar_photos(
    own_words_config: ModelConfig, own_words_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    trainer = Trainer(
        run_config(
            own_words_config, own_words_checkpoint, data_folder, tmp_path, "premise_guidance"
        )
    )
    recipe = trainer._recipe
    assert isinstance(recipe, PremiseGuidanceRecipe)
    data, borrowed = recipe._data, recipe._borrowed
    similar = similar_photos(data.features[0], 12)
    batch = data.batch(0)
    drawn = borrowed.draw(batch, np.random.default_rng(0))
    assert drawn is not None
    assert len(drawn.photos) == len(drawn.alone) == len(drawn.with_premise) == 28
    for place, row in zip(drawn.photos.tolist(), drawn.alone.tolist(), strict=True):
        others = [pair for other in similar[batch.photos[place]] for pair in data.pairs[other]]
        sides = [data.pair_side(pair.hypothesis, None) for pair in others]
        assert [number for number in row if number != data.pad_id] in sides
    again = borrowed.draw(batch, np.random.default_rng(0))
    assert again is not None
    assert torch.equal(drawn.with_premise, again.with_premise)


def test_without_dropout_only_the_premise_is_left_to_learn(
    own_words_config: ModelConfig, own_words_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(
        own_words_config, own_words_checkpoint, data_folder, tmp_path, "premise_guidance"
    )
    loss = config.loss.model_copy(update={"exits_per_step": 1, "shallow_memory_fraction": 0})
    data = config.data.model_copy(update={"borrowed_pairs_per_batch": 0, "premise_fraction": 0})
    trainer = Trainer(config.model_copy(update={"loss": loss, "data": data}))
    trainer.model.eval()
    parts = trainer._recipe.losses(0).parts
    # Asked without premises both times, the model has nothing to tell itself.
    torch.testing.assert_close(parts["guidance"], torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(parts["photo_alone"], parts["entailment"])


def test_guidance_brings_both_answers_together(
    own_words_config: ModelConfig, own_words_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(
        own_words_config, own_words_checkpoint, data_folder, tmp_path, "premise_guidance"
    )
    loss = config.loss.model_copy(update={"guidance_weight": 5.0, "photo_alone_weight": 0.0})
    Trainer(config.model_copy(update={"loss": loss, "num_steps": 16})).run()
    losses = [row["guidance_loss"] for row in metrics(tmp_path / "run")]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
