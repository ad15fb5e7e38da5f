"""What is asked with a premise guides what is asked without; similar photos lend hypotheses."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_core.config import ModelConfig
from model_core.training.config import TrainConfig
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


def losses_without_dropout(config: TrainConfig, premise_fraction: float) -> dict[str, Tensor]:
    """At full depth, of the batch's own pairs."""
    loss = config.loss.model_copy(update={"exits_per_step": 1, "shallow_memory_fraction": 0})
    shown = {"premise_fraction": premise_fraction, "has_caption_premises": True}
    data = config.data.model_copy(update={"borrowed_pairs_per_batch": 0, **shown})
    trainer = Trainer(config.model_copy(update={"loss": loss, "data": data}))
    trainer.model.eval()
    return trainer._recipe.losses(0).parts


def test_without_dropout_only_the_premise_is_left_to_learn(
    own_words_config: ModelConfig, own_words_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(
        own_words_config, own_words_checkpoint, data_folder, tmp_path, "premise_guidance"
    )
    # Asked without premises both times, the model has nothing to tell itself.
    alike = losses_without_dropout(config, premise_fraction=0)
    torch.testing.assert_close(alike["guidance"], torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(alike["photo_alone"], alike["entailment"])
    # Every pair has a premise then, which only the guide and the first loss may see.
    apart = losses_without_dropout(config, premise_fraction=1)
    assert apart["guidance"] > 1e-3
    torch.testing.assert_close(apart["photo_alone"], alike["photo_alone"])


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
