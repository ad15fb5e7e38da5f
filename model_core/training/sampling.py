"""Captions of the model at full depth, drawn or its likeliest, for recipes that need its own words.

Several captions of one photo share its memory. Training alone samples; answers come from ``Slots``.
"""

from typing import cast

import torch
from torch import Tensor

from model_core.layers import DecoderLayer, KeyValue, attend
from model_core.model import UnifiedModel
from model_core.training.teacher_forcing import Memory


class GrowingContext:
    """Attention of the newest token of each row to all tokens before it."""

    def __init__(self, model: UnifiedModel, memory: Memory) -> None:
        self._memory_mask = memory.mask
        self._cross = [
            cast(DecoderLayer, layer).memory_key_value(memory.states)
            for layer in model.decoder.layers
        ]
        self._own: dict[int, KeyValue] = {}

    def attend_self(self, layer: int, query: Tensor, key_value: KeyValue) -> Tensor:
        """``(N, H, D/H)``; the new keys and values ``(N, H, D/H)`` are kept."""
        newest = KeyValue(*(part[:, None] for part in key_value))
        if layer in self._own:
            pairs = zip(self._own[layer], newest, strict=True)
            newest = KeyValue(*(torch.cat(pair, dim=1) for pair in pairs))
        self._own[layer] = newest
        return attend(query[:, None], newest)[:, 0]

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        """``(N, H, D/H)``; the rows of one photo stand together."""
        grouped = query.unflatten(0, (len(self._memory_mask), -1))
        return attend(grouped, self._cross[layer], self._memory_mask).flatten(0, 1)


@torch.no_grad()
def sample_captions(
    model: UnifiedModel,
    memory: Memory,
    per_photo: int,
    marks: tuple[int, int],
    generator: torch.Generator | None,
    max_tokens: int,
) -> list[list[int]]:
    """``B * per_photo`` rows of ids drawn at temperature 1, each ending with the end mark or cut.

    Args:
        model: Used in the mode it is in; evaluation mode draws without dropout.
        memory: ``(B, M, D)``.
        per_photo: Rows drawn from each memory, standing together.
        marks: Ids of the start and the end.
        generator: Of the draws; None takes the likeliest token each time, as an answer does.
        max_tokens: Of a row, the end mark included.
    """
    start, end = marks
    decoder = model.decoder
    context = GrowingContext(model, memory)
    num_rows = len(memory.states) * per_photo
    num_layers = model.config.num_decoder_layers
    drawn = torch.full((num_rows, 1), start, device=memory.states.device)
    is_finished = torch.zeros(num_rows, dtype=torch.bool, device=drawn.device)
    for position in range(max_tokens):
        positions = torch.full_like(drawn[:, -1], position)
        hidden = decoder.run_layers(decoder.embed(drawn[:, -1], positions), context, 0, num_layers)
        logits = model.exit_logits(model.exit_features(num_layers, hidden)).float()
        if generator is None:
            token = logits.argmax(-1, keepdim=True)
        else:
            token = draw_token(logits, generator)
        token[is_finished] = end
        is_finished |= token[:, 0] == end
        drawn = torch.cat([drawn, token], dim=1)
        if bool(is_finished.all()):
            break
    return [[*row[: row.index(end)], end] if end in row else row for row in drawn[:, 1:].tolist()]


def write_captions(
    model: UnifiedModel, memory: Memory, per_photo: int, marks: tuple[int, int], max_tokens: int
) -> list[list[int]]:
    """``B * per_photo`` rows: of each memory the likeliest caption, then drawn ones.

    The draws depend on torch's own random state. Other arguments as in ``sample_captions``.
    """
    rows = [[row] for row in sample_captions(model, memory, 1, marks, None, max_tokens)]
    num_drawn = per_photo - 1
    if num_drawn:
        generator = new_generator(memory.states.device)
        drawn = sample_captions(model, memory, num_drawn, marks, generator, max_tokens)
        for number, row in enumerate(drawn):
            rows[number // num_drawn].append(row)
    return [row for of_photo in rows for row in of_photo]


def new_generator(device: torch.device) -> torch.Generator:
    """A generator on ``device``, seeded from torch's own random state."""
    return torch.Generator(device).manual_seed(int(torch.randint(2**31, ())))


def draw_token(logits: Tensor, generator: torch.Generator) -> Tensor:
    """``(N, 1)`` ids drawn from the softmax of ``(N, V)`` logits.

    One random number a row, looked up in the cumulative distribution: ``torch.multinomial`` takes
    one for each id, which is a quarter of the time of drawing captions.
    """
    cumulative = logits.softmax(-1).cumsum(-1)
    height = torch.rand(len(logits), 1, generator=generator, device=logits.device)
    token = torch.searchsorted(cumulative, height * cumulative[:, -1:], right=True)
    return token.clamp(max=logits.shape[-1] - 1)
