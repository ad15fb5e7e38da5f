"""The reward is the library's score, and captions are drawn from the model's own distribution."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from pycocoevalcap.cider.cider import Cider

from model_core.config import ModelConfig
from model_core.layers import Packing
from model_core.model import UnifiedModel
from model_core.training.cider import mean_of_others
from model_core.training.reward import END_WORD, CiderReward, DrawnCaption
from model_core.training.sampling import GrowingContext, sample_captions
from model_core.training.teacher_forcing import Memory, TeacherForcing
from tests.tiny import randomize

REFERENCES = [
    ("a dog runs on grass", "the dog is running"),
    ("two people in snow", "people walk in the snow"),
    ("a cat sits", "the cat is on a chair"),
]
START, END = 2, 3
LIMIT = 10


@pytest.fixture
def model(tiny_config: ModelConfig) -> UnifiedModel:
    torch.manual_seed(0)
    model = UnifiedModel(tiny_config, 30).double().eval()
    randomize(model)
    return model


@pytest.fixture
def memory(model: UnifiedModel) -> Memory:
    states = torch.randn(2, 5, model.config.hidden_size, dtype=torch.float64)
    return Memory(states, torch.tensor([[True] * 5, [True] * 3 + [False] * 2]))


def drawn(*texts: str) -> list[DrawnCaption]:
    return [DrawnCaption(text, is_ended=True) for text in texts]


def test_reward_equals_the_library_on_sentences_with_their_end() -> None:
    captions = ["a dog on grass", "people in the snow", "a chair"]
    _, expected = Cider().compute_score(
        {
            number: [f"{text} {END_WORD}" for text in texts]
            for number, texts in enumerate(REFERENCES)
        },
        {number: [f"{caption} {END_WORD}"] for number, caption in enumerate(captions)},
    )
    reward = CiderReward(REFERENCES)
    np.testing.assert_allclose(reward.score([0, 1, 2], drawn(*captions)), expected)


def test_reward_of_a_caption_that_was_cut_off_is_lower() -> None:
    reward = CiderReward(REFERENCES)
    whole, cut = reward.score(
        [2, 2], [DrawnCaption("a cat sits", True), DrawnCaption("a cat sits", False)]
    )
    assert whole == pytest.approx(10 / 2, rel=0.3)  # equal to one of two references
    assert cut < whole


def test_reward_does_not_depend_on_what_is_scored_beside_it() -> None:
    reward = CiderReward(REFERENCES)
    together = reward.score([0, 1, 1], drawn("a dog runs", "two people", "snow"))
    alone = [
        reward.score([photo], drawn(text))[0]
        for photo, text in ((0, "a dog runs"), (1, "two people"), (1, "snow"))
    ]
    np.testing.assert_allclose(together, alone)


def test_baseline_is_the_mean_of_the_other_captions_of_the_photo() -> None:
    rewards = torch.tensor([[3.0, 0.0, 6.0], [1.0, 1.0, 1.0]])
    expected = torch.tensor([[3.0, 4.5, 1.5], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(mean_of_others(rewards), expected)


def test_token_by_token_equals_teacher_forcing(model: UnifiedModel, memory: Memory) -> None:
    rows = torch.tensor([[START, 5, 6, 7], [START, 8, 9, 4], [START, 4, 4, 5], [START, 6, 5, 9]])
    forcing = TeacherForcing(model, START, [4, 5, 6])
    packing = Packing(torch.ones_like(rows, dtype=torch.bool))
    (features,) = forcing.exit_features(rows, packing, memory, (4,))
    expected = packing.pad(features)
    context = GrowingContext(model, memory)
    for position in range(rows.shape[1]):
        token, positions = rows[:, position], torch.full((4,), position)
        hidden = model.decoder.embed(token, positions)
        hidden = model.decoder.run_layers(hidden, context, 0, 4)
        torch.testing.assert_close(model.exit_features(4, hidden), expected[:, position])


def test_drawn_rows_end_once_and_repeat_with_the_seed(model: UnifiedModel, memory: Memory) -> None:
    def draw(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return sample_captions(model, memory, 3, (START, END), generator, LIMIT)

    rows = draw(1)
    assert len(rows) == 6
    for row in rows:
        assert (row.count(END) == 1 and row[-1] == END) or (END not in row and len(row) == LIMIT)
    assert draw(1) == rows != draw(2)


def test_greedy_rows_take_the_likeliest_token(model: UnifiedModel, memory: Memory) -> None:
    rows = sample_captions(model, memory, 1, (START, END), None, LIMIT)
    forcing = TeacherForcing(model, START, [4, 5, 6])
    for number, row in enumerate(rows):
        own = Memory(memory.states[number : number + 1], memory.mask[number : number + 1])
        fed = torch.tensor([[START, *row[:-1]]])
        packing = Packing(torch.ones_like(fed, dtype=torch.bool))
        *_, last = forcing.signals(fed, packing, own, 10)
        assert last.logits().argmax(-1).tolist() == row


@torch.no_grad()
def test_signals_of_every_depth_are_those_of_the_layers(
    model: UnifiedModel, memory: Memory
) -> None:
    rows = torch.tensor([[START, 5, 6], [START, 8, 9]])
    forcing = TeacherForcing(model, START, [4, 5, 6])
    packing = Packing(torch.ones_like(rows, dtype=torch.bool))
    features = forcing.exit_features(rows, packing, memory, (1, 2, 3, 4))
    signals = forcing.signals(rows, packing, memory, 10)
    assert [here.depth for here in signals] == [1, 2, 3, 4]
    assert signals[0].steps.tolist() == [0, 1, 2, 0, 1, 2]
    assert set(signals[0].max_steps.tolist()) == {10}
    for here, expected in zip(signals, features, strict=True):
        torch.testing.assert_close(here.features(), expected)
        torch.testing.assert_close(here.logits(), model.exit_logits(expected))
    for earlier, later in pairwise(signals):
        assert torch.equal(later.previous, earlier.hidden)
    (_, _, _, labels) = forcing.label_signals(memory)
    (feature,) = forcing.exit_features(
        torch.full((2, 1), START), Packing(torch.ones(2, 1, dtype=torch.bool)), memory, (4,)
    )
    expected = model.exit_logits(feature)[:, [4, 5, 6]]
    torch.testing.assert_close(labels.logits(), expected)


def test_first_token_is_drawn_as_often_as_the_model_says(
    model: UnifiedModel, memory: Memory
) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = sample_captions(model, memory, 3000, (START, END), generator, LIMIT)
    context = GrowingContext(model, memory)
    start = torch.tensor([START, START])
    hidden = model.decoder.embed(start, torch.zeros_like(start))
    hidden = model.decoder.run_layers(hidden, context, 0, 4)
    expected = model.exit_logits(model.exit_features(4, hidden)).softmax(-1).detach()
    for photo in range(2):
        first = torch.tensor([row[0] for row in rows[photo * 3000 : (photo + 1) * 3000]])
        share = torch.bincount(first, minlength=30) / 3000
        assert (share - expected[photo]).abs().max() < 0.04
