"""Heads of the image encoder: what each kind computes and costs, row by row."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model_core.config import CONFIG_ROOT, ModelConfig, load_config
from model_core.tag_heads import (
    GlobalAggregationHead,
    HeadKind,
    LinearHead,
    LocalPerceptionHead,
    MlpHead,
    TagHeads,
    TagHeadsConfig,
    pooled,
    subsample,
)
from tests.tiny_tags import MIXED_KINDS, TAG_WORDS, random_tag_heads

NUM_TOKENS, WIDTH = 9, 4


def states(rows: int = 3) -> Tensor:
    return torch.randn(rows, NUM_TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))


def test_local_head_sees_the_neighbours_and_no_farther() -> None:
    torch.manual_seed(2)
    head = LocalPerceptionHead(NUM_TOKENS, WIDTH, 6, has_depthwise=True).eval()
    before, changed = states(1), states(1)
    changed[0, 0] += 1.0  # the corner of the 3x3 grid
    differs = (head(before) != head(changed)).any(dim=2)[0].tolist()
    assert differs == [True, True, False, True, True, False, False, False, False]


def test_pointwise_local_head_sees_each_token_alone() -> None:
    torch.manual_seed(2)
    head = LocalPerceptionHead(NUM_TOKENS, WIDTH, 6, has_depthwise=False).eval()
    before, changed = states(1), states(1)
    changed[0, 4] += 1.0
    differs = (head(before) != head(changed)).any(dim=2)[0].tolist()
    assert differs == [number == 4 for number in range(NUM_TOKENS)]


def test_local_head_adds_its_last_norm_to_the_tokens() -> None:
    head = LocalPerceptionHead(NUM_TOKENS, WIDTH, 6, has_depthwise=True).eval()
    nn.init.zeros_(head.outer_norm.weight)
    nn.init.constant_(head.outer_norm.bias, 0.25)
    torch.testing.assert_close(head(states()), states() + 0.25)


def test_global_head_takes_every_second_token_both_ways() -> None:
    grid = torch.arange(9.0).view(1, 9, 1)
    assert subsample(grid, 3).flatten().tolist() == [0.0, 2.0, 6.0, 8.0]


def test_global_head_without_differences_between_keys_is_the_mean_of_values() -> None:
    torch.manual_seed(3)
    head = GlobalAggregationHead(NUM_TOKENS, WIDTH, 8)
    with torch.no_grad():
        head.qkv.weight[8:16] = 0  # keys
        head.qkv.bias.zero_()
    values = subsample(states(), 3) @ head.qkv.weight[16:].T
    expected = head.out(values.mean(dim=1, keepdim=True)).expand(-1, 4, -1)
    torch.testing.assert_close(head(states()), expected)


def test_global_head_refuses_a_width_that_its_heads_do_not_divide() -> None:
    with pytest.raises(ValueError, match="width: 12 must be a multiple of the 8 heads"):
        GlobalAggregationHead(NUM_TOKENS, WIDTH, 12)


def test_grid_must_be_square() -> None:
    with pytest.raises(ValueError, match="num_tokens: 10 image tokens are not a square grid"):
        LocalPerceptionHead(10, WIDTH, 6, has_depthwise=True)


def test_pooled_is_the_sum_of_both_means() -> None:
    tokens = torch.tensor([[[1.0], [3.0]]])
    assert pooled(tokens, torch.tensor([[[4.0], [5.0], [9.0]]])).tolist() == [[8.0]]


@pytest.mark.parametrize("kind", HeadKind)
def test_a_row_does_not_depend_on_its_batch(tiny_config: ModelConfig, kind: HeadKind) -> None:
    heads = random_tag_heads(tiny_config, (kind,) * 4).double()
    batch = torch.randn(5, 4, 8, dtype=torch.float64)
    together = heads.logits(2, heads.features(2, batch))
    alone = torch.cat(
        [heads.logits(2, heads.features(2, batch[row : row + 1])) for row in range(5)]
    )
    torch.testing.assert_close(together, alone)
    assert (together[0] - together[1]).abs().max() > 0.1


@pytest.mark.parametrize("kind", HeadKind)
def test_operations_are_those_that_torch_counts(tiny_config: ModelConfig, kind: HeadKind) -> None:
    heads = random_tag_heads(tiny_config, (kind,) * 4)
    with FlopCounterMode(display=False) as counter:
        heads.logits(1, heads.features(1, torch.randn(1, 4, 8)))
    counted = counter.get_total_flops()
    if kind is HeadKind.GLOBAL:  # the fused attention of a CPU is not counted: 2 x 1 x 1 tokens
        assert heads.flops(1) - counted in (0, 2 * 2 * 1 * 8)
    else:
        assert heads.flops(1) == counted


def test_heads_with_a_width_cost_alike_on_the_shipped_model() -> None:
    config = load_config(CONFIG_ROOT / "model" / "offramp-s.yaml", ModelConfig)

    def flops(kind: HeadKind) -> int:
        return TagHeads(TagHeadsConfig(words=("dog",), kinds=(kind,) * 6), config).flops(1)

    costs = [flops(kind) for kind in HeadKind if kind is not HeadKind.LINEAR]
    assert max(costs) < 1.02 * min(costs)
    assert flops(HeadKind.LINEAR) == 2 * 384


def test_linear_and_mlp_heads_by_hand() -> None:
    assert torch.equal(LinearHead()(states()), states())
    head = MlpHead(NUM_TOKENS, WIDTH, 5)
    nn.init.zeros_(head.outer.weight)
    nn.init.constant_(head.outer.bias, 0.5)
    torch.testing.assert_close(head(states()), states() + 0.5)


def test_there_is_one_head_per_layer(tiny_config: ModelConfig) -> None:
    with pytest.raises(ValueError, match="kinds: 3 heads for 4 layers"):
        random_tag_heads(tiny_config, MIXED_KINDS[:3])


def test_words_must_differ() -> None:
    with pytest.raises(ValueError, match="words: the same word stands there twice"):
        TagHeadsConfig(words=("dog", "dog"), kinds=(HeadKind.LINEAR,))
    assert len(set(TAG_WORDS)) == len(TAG_WORDS)
