"""Transformer layers: attention projections, MLP, norm placement. No exit logic, no caches.

A layer computes on packed tokens; *who attends to what* is decided by the context it is given, so
that training, full depth, early exit and catch-up run the same code.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.config import ModelConfig, NormPlacement


class KeyValue(NamedTuple):
    """Keys and values of one attention, ``(..., H, D/H)`` each."""

    key: Tensor
    value: Tensor


class DecoderContext(Protocol):
    """What the packed tokens of a decoder layer may attend to."""

    def attend_self(self, layer: int, query: Tensor, key_value: KeyValue) -> Tensor:
        """``(N, H, D/H)`` causal self-attention of the N packed tokens."""

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        """``(N, H, D/H)`` attention of the N packed tokens to their memories."""


class ResidualLayer(nn.Module):
    """Base of both layers: places norms and dropout around a sublayer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.is_pre_norm = config.norm_placement is NormPlacement.PRE
        self.num_heads = config.num_heads
        self.dropout = nn.Dropout(config.dropout)
        self.mlp_in = nn.Linear(config.hidden_size, config.ffn_size)
        self.mlp_out = nn.Linear(config.ffn_size, config.hidden_size)
        self.mlp_norm = nn.LayerNorm(config.hidden_size)

    def _residual(
        self, norm: nn.Module, hidden: Tensor, sublayer: Callable[[Tensor], Tensor]
    ) -> Tensor:
        if self.is_pre_norm:
            summed: Tensor = hidden + self._drop(sublayer(norm(hidden)))
            return summed
        normed: Tensor = norm(hidden + self._drop(sublayer(hidden)))
        return normed

    def _drop(self, update: Tensor) -> Tensor:
        if not self.training:  # a call saved where one row's step is a few hundred of them
            return update
        dropped: Tensor = self.dropout(update)
        return dropped

    def _mlp(self, hidden: Tensor) -> Tensor:
        projected: Tensor = self.mlp_out(functional.gelu(self.mlp_in(hidden)))
        return projected

    def _split_heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        # (..., parts*D) -> parts x (..., H, D/H)
        split = projected.view(*projected.shape[:-1], parts, self.num_heads, -1)
        return tuple(split.unbind(-3))


class EncoderLayer(ResidualLayer):
    """Bidirectional self-attention and MLP."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.self_qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.self_out = nn.Linear(config.hidden_size, config.hidden_size)
        self.self_norm = nn.LayerNorm(config.hidden_size)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``(B, T, D)`` states after this layer.

        Args:
            hidden: ``(B, T, D)``.
            mask: ``(B, T)`` True at real tokens; None when all are.
        """

        def attention(states: Tensor) -> Tensor:
            query, key, value = self._split_heads(self.self_qkv(states), 3)
            attended: Tensor = self.self_out(attend(query, KeyValue(key, value), mask).flatten(-2))
            return attended

        hidden = self._residual(self.self_norm, hidden, attention)
        return self._residual(self.mlp_norm, hidden, self._mlp)


class DecoderLayer(ResidualLayer):
    """Causal self-attention, cross-attention to the memory, MLP, on packed tokens.

    A unimodal layer (``sees_memory`` false) has no cross-attention, and no weights of one.
    """

    def __init__(self, config: ModelConfig, sees_memory: bool = True) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.sees_memory = sees_memory
        self.self_qkv = nn.Linear(width, 3 * width)
        self.self_out = nn.Linear(width, width)
        self.self_norm = nn.LayerNorm(width)
        if not sees_memory:
            return
        self.cross_query = nn.Linear(width, width)
        self.cross_key_value = nn.Linear(width, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.cross_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, layer: int, context: DecoderContext) -> Tensor:
        """``(N, D)`` states of the packed tokens after this layer, whose index is ``layer``."""

        def self_attention(states: Tensor) -> Tensor:
            query, key, value = self._split_heads(self.self_qkv(states), 3)
            attended = context.attend_self(layer, query, KeyValue(key, value))
            projected: Tensor = self.self_out(attended.flatten(-2))
            return projected

        def cross_attention(states: Tensor) -> Tensor:
            (query,) = self._split_heads(self.cross_query(states), 1)
            projected: Tensor = self.cross_out(context.attend_cross(layer, query).flatten(-2))
            return projected

        hidden = self._residual(self.self_norm, hidden, self_attention)
        if self.sees_memory:
            hidden = self._residual(self.cross_norm, hidden, cross_attention)
        return self._residual(self.mlp_norm, hidden, self._mlp)

    def self_key_value(self, hidden: Tensor) -> KeyValue:
        """Self-attention keys and values of ``(N, D)`` states entering this layer."""
        if self.is_pre_norm:
            hidden = self.self_norm(hidden)
        width = self.self_out.in_features
        projected = functional.linear(
            hidden, self.self_qkv.weight[width:], self.self_qkv.bias[width:]
        )
        return KeyValue(*self._split_heads(projected, 2))

    def memory_key_value(self, memory: Tensor) -> KeyValue:
        """Cross-attention keys and values ``(B, M, H, D/H)`` of a ``(B, M, D)`` memory.

        Raises:
            ValueError: This layer does not see the memory.
        """
        if not self.sees_memory:
            raise ValueError("a unimodal layer has no keys and values of the memory")
        return KeyValue(*self._split_heads(self.cross_key_value(memory), 2))


def attend(
    query: Tensor, key_value: KeyValue, mask: Tensor | None = None, is_causal: bool = False
) -> Tensor:
    """``(B, T, H, D/H)`` scaled dot-product attention.

    Args:
        query: ``(B, T, H, D/H)``.
        key_value: ``(B, S, H, D/H)`` each.
        mask: True where attending is allowed, or what is added to the scores before the softmax;
            ``(B, S)`` for every query alike, or ``(B, T, S)``.
        is_causal: Query t sees keys 0..t (only with T = S and no mask).
    """
    if mask is not None:
        mask = mask[:, None, None, :] if mask.dim() == 2 else mask[:, None]
    query = query.transpose(1, 2)  # (B, H, T, D/H)
    key, value = key_value.key.transpose(1, 2), key_value.value.transpose(1, 2)
    if query.requires_grad and query.dtype is torch.bfloat16 and query.device.type == "cpu":
        # The fused kernel's backward pass takes seven times as long as these products there.
        attended = _attend_by_products(query, key, value, mask, is_causal)
    else:
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=is_causal
        )
    return attended.transpose(1, 2)


def _attend_by_products(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, is_causal: bool
) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)  # (B, H, T, S)
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    attended: Tensor = scores.softmax(-1).to(value.dtype) @ value
    return attended


class Packing:
    """Where packed tokens ``(N, ...)`` stand in a padded grid ``(R, T, ...)``.

    Linear maps run on the packed form, so padding costs nothing there; attention needs the grid.
    """

    def __init__(self, mask: Tensor) -> None:
        """Pack the True cells of a ``(R, T)`` mask, row by row."""
        self.num_rows, self.width = mask.shape
        self.index = mask.flatten().nonzero().squeeze(1)  # (N,)

    def pack(self, grid: Tensor) -> Tensor:
        """``(R, T, ...)`` -> ``(N, ...)``."""
        return grid.flatten(0, 1).index_select(0, self.index)

    def pad(self, packed: Tensor) -> Tensor:
        """``(N, ...)`` -> ``(R, T, ...)`` with zeros where nothing is packed."""
        grid = packed.new_zeros(self.num_rows * self.width, *packed.shape[1:])
        filled: Tensor = grid.index_copy(0, self.index, packed)
        return filled.view(self.num_rows, self.width, *packed.shape[1:])


class SentenceContext:
    """Causal self-attention of whole packed sentences, which see no memory."""

    def __init__(self, packing: Packing) -> None:
        """Attend inside ``packing``."""
        self._packing = packing

    def attend_self(self, layer: int, query: Tensor, key_value: KeyValue) -> Tensor:  # noqa: ARG002
        pad = self._packing.pad
        # Padding stands behind the real tokens, where the causal rule hides it from them.
        grid = attend(pad(query), KeyValue(*map(pad, key_value)), is_causal=True)
        return self._packing.pack(grid)

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:  # noqa: ARG002
        raise ValueError(f"layer {layer} asks for a memory, and there is none")


class TeacherForcedContext(SentenceContext):
    """Attention of whole target sequences at once: training, and the oracle of the tests.

    Rows come in groups of ``R / B`` that share a memory (several captions of one photo), so its
    keys and values are computed once per photo.
    """

    def __init__(
        self,
        layers: nn.ModuleList,
        packing: Packing,
        memory: Tensor,
        memory_mask: Tensor,
    ) -> None:
        """Attend inside ``packing`` and to ``memory`` ``(B, M, D)``, ``memory_mask`` ``(B, M)``."""
        super().__init__(packing)
        self._layers = layers
        self._memory = memory
        self._memory_mask = memory_mask

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        module = self._layers[layer]
        assert isinstance(module, DecoderLayer)
        num_memories = self._memory.shape[0]
        grid = self._packing.pad(query)  # (R, T, H, D/H)
        grouped = grid.unflatten(0, (num_memories, -1)).flatten(1, 2)  # (B, R/B*T, H, D/H)
        attended = attend(grouped, module.memory_key_value(self._memory), self._memory_mask)
        return self._packing.pack(attended.unflatten(1, (-1, self._packing.width)).flatten(0, 1))


def init_weights(module: nn.Module) -> None:
    """Normal(0, 0.02) for matrices and embeddings, zero biases (BERT's scheme)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        torch.nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        torch.nn.init.zeros_(module.bias)
