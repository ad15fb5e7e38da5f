"""The LGViT recipe: two stages on a model that stays as it is, and a file that answers."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_core.checkpoint import load_checkpoint
from model_core.config import ExitConfig, ModelConfig
from model_core.errors import ConfigError
from model_core.evaluation.tag_metrics import best_threshold
from model_core.predictor import Predictor
from model_core.tag_heads import HeadKind
from model_core.training.config import Objective, TrainConfig
from model_core.training.heads import save_heads, tune_thresholds
from model_core.training.lgvit import feature_losses, start_from_frequencies
from model_core.training.loop import Trainer
from model_core.training.start import start_model
from model_core.training.tag_data import read_tag_data
from tests.model_core.training.heads_run import metrics, values_of
from tests.tiny import photo
from tests.tiny_tags import TAG_WORDS, random_tag_heads

KINDS = ["local", "local_pointwise", "global", "global"]


@pytest.fixture
def config(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> TrainConfig:
    values = values_of("lgvit", tiny_config, tiny_checkpoint, data_folder, tmp_path)
    tags = {"num_words": 4, "kinds": KINDS, "distillation": 0.5}
    return TrainConfig.model_validate(values | {"tags": tags})


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_stages_take_their_turns(config: TrainConfig) -> None:
    trainer = Trainer(config)
    states = [weights_of(trainer)]
    for step in range(1, 7):
        trainer.run(stop_at=step)
        states.append(weights_of(trainer))
    moved = [changed(before, after) for before, after in pairwise(states)]
    of_heads = [{name.split(".")[2] for name in names} for names in moved]
    assert all(name.startswith("tag_heads.") for names in moved for name in names)
    last, others = {"3"}, {"0", "1", "2"}
    assert of_heads == [last, last | others, last, others, others, others]


def test_run_that_was_stopped_ends_with_the_same_heads(config: TrainConfig) -> None:
    whole = Trainer(config)
    whole.run()
    other = config.model_copy(update={"output_folder": config.output_folder / "again"})
    Trainer(other).run(stop_at=4)
    resumed = Trainer(other)
    resumed.run()
    assert changed(weights_of(whole), weights_of(resumed)) == set()


def test_every_part_of_the_loss_has_its_figure(config: TrainConfig) -> None:
    Trainer(config).run()
    first, second, *_, last = metrics(config.output_folder)
    assert "depth_4_loss" in first and "depth_1_loss" not in first
    assert {f"depth_{depth}_loss" for depth in (1, 2, 3, 4)} <= set(second)
    assert {"heterogeneous_loss", "homogeneous_loss"} <= set(last)


def test_saved_heads_answer_and_the_model_is_as_it_was(config: TrainConfig, tmp_path: Path) -> None:
    trained = Trainer(config).run()
    folder = tmp_path / "checkpoint"
    save_heads(trained.model, config, folder, torch.float32)
    predictor = Predictor.load(folder)
    # All photos have these words in two captions of the three; "two" and "runs" are no nouns.
    assert predictor.info.tags == ("grass",)
    (answer,) = predictor.tag([photo(0)], ExitConfig())
    assert answer.image.depth == 4
    assert answer.words == () or answer.words[0].word == "grass"
    assert config.start_from is not None
    before = load_checkpoint(config.start_from).model.state_dict()
    after = load_checkpoint(folder).model.state_dict()
    assert changed(before, after) == set()


def test_states_are_those_of_the_encoder(config: TrainConfig) -> None:
    model = load_checkpoint(config.start_from or Path()).model
    data = read_tag_data(model, config, "train", ["grass", "cat"])
    assert data.states.shape == (2, 6, 4, 4, 8)
    assert data.targets.tolist() == [[1.0, 0.0]] * 6
    with torch.inference_mode():
        predictor = Predictor.load(config.start_from or Path())
        predictor.model.tag_heads = random_tag_heads(model.config)
        pixels = predictor.tag_request(photo(2), ExitConfig()).pixels
        assert pixels is not None
        hidden = model.embed_image(model.image_features(pixels[None]))
        expected = model.encoder.run_layers(hidden, None, 0, 3)[0]
    found = torch.from_numpy(data.states[0, 2, 2].copy()).float()
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=5e-3)


def test_feature_losses_by_hand() -> None:
    # Local heads 1, 2, 3 with tokens 0, 1, 3: (3-0)^2 + (3-1)^2; one channel has no divergence.
    kinds = [HeadKind.LOCAL, HeadKind.LOCAL, HeadKind.LOCAL_POINTWISE, HeadKind.MLP]
    tokens = [torch.full((1, 4, 1), value) for value in (0.0, 1.0, 3.0, 7.0)]
    found = feature_losses(kinds, tokens, torch.zeros(1, 4, 1))
    assert float(found.homogeneous) == 9 + 4
    assert float(found.heterogeneous) == 0


def test_global_heads_are_compared_by_their_gram_matrices_with_the_tokens_they_see() -> None:
    kinds = [HeadKind.GLOBAL] * 2  # the second is the last depth and learns nothing
    final = torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(0))
    seen = final[:, [0, 2, 6, 8]]
    found = feature_losses(kinds, [seen, -seen], final)  # turned round: the same Gram matrix
    assert float(found.heterogeneous) == pytest.approx(0.0, abs=1e-6)
    assert float(found.homogeneous) == pytest.approx(0.0, abs=1e-6)


def test_linear_heads_have_no_feature_losses() -> None:
    found = feature_losses([HeadKind.LINEAR] * 2, [torch.ones(1, 4, 2)] * 2, torch.ones(1, 4, 2))
    assert (float(found.heterogeneous), float(found.homogeneous)) == (0, 0)


def test_heads_begin_with_the_frequencies(tiny_config: ModelConfig) -> None:
    heads = random_tag_heads(tiny_config)
    targets = torch.zeros(8, 5)
    targets[:4, 0] = 1
    start_from_frequencies(heads, targets)
    chances = heads.outputs[2].bias.sigmoid().tolist()
    assert chances == pytest.approx([0.5, 0.1, 0.1, 0.1, 0.1])


def test_one_kind_stands_for_every_depth(config: TrainConfig) -> None:
    one = config.tags.model_copy(update={"kinds": (HeadKind.MLP,)})
    trainer = Trainer(config.model_copy(update={"tags": one}))
    assert trainer.model.tag_heads is not None
    assert trainer.model.tag_heads.config.kinds == (HeadKind.MLP,) * 4


def test_other_numbers_of_kinds_are_refused(config: TrainConfig) -> None:
    two = config.tags.model_copy(update={"kinds": (HeadKind.MLP,) * 2})
    with pytest.raises(ConfigError, match=r"tags.kinds: 2 kinds for the 4 layers of the encoder"):
        Trainer(config.model_copy(update={"tags": two}))


def test_run_without_a_finished_model_is_refused(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="start_from: must name a checkpoint folder"):
        Trainer(config.model_copy(update={"start_from": None}))


@pytest.mark.parametrize(("objective", "keeps"), [("joint", False), ("palbert", True)])
def test_tag_heads_stay_only_beside_a_model_that_stays_as_it_is(
    config: TrainConfig, tagging_checkpoint: Path, objective: str, keeps: bool
) -> None:
    other = {"objective": Objective(objective), "start_from": tagging_checkpoint}
    model = start_model(config.model_copy(update=other)).model
    assert (model.tag_heads is not None) == keeps


def test_thresholds_are_the_best_of_each_depth_on_val(config: TrainConfig) -> None:
    model = load_checkpoint(config.start_from or Path()).model
    heads = random_tag_heads(model.config)
    tune_thresholds(model, heads, config)
    data = read_tag_data(model, config, "val", TAG_WORDS)
    assert data.states.shape[0] == 1  # the photos alone, no mirror images
    seen = data.batch_states([0] * 6, list(range(6)), "cpu")
    for depth in (1, 2, 3, 4):
        with torch.no_grad():
            logits = heads.logits(depth, heads.features(depth, seen[:, depth - 1]))
        found = best_threshold(logits.sigmoid().numpy(), data.targets.numpy() > 0)
        assert float(heads.thresholds[depth - 1]) == pytest.approx(found.value)
