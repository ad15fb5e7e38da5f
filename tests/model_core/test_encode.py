"""Encoder exits of single rows: who leaves where, and that padding does not matter."""

import torch
from torch import Tensor

from model_core.encode import encode_modality
from model_core.policies import FixedDepthPolicy, NeverPolicy, SimilarityPolicy


def add_one(layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """A layer whose effect can be counted."""
    return hidden + 1


def test_rows_leave_at_their_own_depth_with_the_states_of_that_depth() -> None:
    embedded = torch.zeros(3, 2, 4)
    policies = [FixedDepthPolicy(depth=2), NeverPolicy(), FixedDepthPolicy(depth=1)]
    encoded = encode_modality(add_one, 4, embedded, None, policies)
    assert encoded.hidden[:, 0, 0].tolist() == [2.0, 4.0, 1.0]
    assert [trace.depth for trace in encoded.traces] == [2, 4, 1]
    assert encoded.traces[0].scores == (1.0, 2.0)
    assert encoded.traces[0].thresholds == (2.0, 2.0)


def test_a_layer_is_run_only_for_the_rows_still_in_it() -> None:
    sizes = []

    def counting(layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        sizes.append(len(hidden))
        return hidden

    policies = [FixedDepthPolicy(depth=depth) for depth in (1, 3, 3)]
    encode_modality(counting, 4, torch.ones(3, 2, 4), None, policies)
    assert sizes == [3, 2, 2]


def test_similarity_ignores_padding() -> None:
    def spoil_padding(layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        return torch.where(mask.unsqueeze(-1), hidden, torch.full_like(hidden, -5.0))

    mask = torch.tensor([[True, True, False]])
    embedded = torch.ones(1, 3, 4)
    encoded = encode_modality(spoil_padding, 4, embedded, mask, [SimilarityPolicy(threshold=0.999)])
    assert encoded.traces[0].depth == 1
    assert encoded.traces[0].scores == (1.0,)
