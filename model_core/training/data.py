"""Examples in the folder format, and the batches of one step.

Everything random about step ``s`` is drawn from ``(seed, s)`` alone, so a run that was stopped
continues exactly where it would have been.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_core.config import ModelConfig
from model_core.errors import InputError
from model_core.tokenizer import WordPieceTokenizer, pad_rows, text_side
from model_core.training.config import DataConfig

SPLITS = ("train", "val", "test")
IGNORED_TARGET = -100


@dataclass(frozen=True)
class CaptionExample:
    """A photo and the sentences people wrote about it."""

    image: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class EntailmentExample:
    """A photo, a sentence about it, and whether the photo entails the sentence."""

    image: str
    hypothesis: str
    label: str
    premise: str | None = None


def read_captions(folder: Path, split: str) -> list[CaptionExample]:
    """The caption examples of a split.

    Raises:
        InputError: The file is missing or a line is wrong (named ``file:line``).
    """
    return [
        CaptionExample(row["image"], tuple(row["captions"]))
        for row in _read_rows(folder / "captions.jsonl", ("image", "split", "captions"))
        if row["split"] == split
    ]


def read_entailment(folder: Path, split: str) -> list[EntailmentExample]:
    """The entailment examples of a split.

    Raises:
        InputError: The file is missing or a line is wrong (named ``file:line``).
    """
    return [
        EntailmentExample(row["image"], row["hypothesis"], row["label"], row.get("premise_text"))
        for row in _read_rows(folder / f"ve_{split}.jsonl", ("image", "hypothesis", "label"))
    ]


def _read_rows(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise InputError(
            f"{path}: not found; a data folder holds images/, captions.jsonl, ve_<split>.jsonl"
        )
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{number}: not JSON ({error.msg})") from error
            missing = [field for field in fields if not isinstance(row, dict) or field not in row]
            if missing:
                raise InputError(f"{path}:{number}: field {missing[0]!r} is missing")
            yield row


def normalise_caption(text: str) -> str:
    """A caption as the model writes it: single spaces, lower case, no closing full stop."""
    return re.sub(r"[\s.]+$", "", re.sub(r"\s+", " ", text.strip())).lower()


class SentenceRows(NamedTuple):
    """Sentences as a decoder learns them.

    Attributes:
        inputs: ``(R, T)`` decoder inputs, the start mark first; padded.
        targets: ``(R, T)`` next ids; ``IGNORED_TARGET`` at padding.
    """

    inputs: Tensor
    targets: Tensor


def sentence_rows(
    rows: Sequence[Sequence[int]], tokenizer: WordPieceTokenizer, device: str | torch.device = "cpu"
) -> SentenceRows:
    """Inputs and targets of rows of ids that end with the end mark."""
    inputs = pad_rows([[tokenizer.start_id, *row[:-1]] for row in rows], tokenizer.pad_id)
    return SentenceRows(inputs.to(device), pad_rows(rows, IGNORED_TARGET).to(device))


@dataclass(frozen=True)
class TrainBatch:
    """What one step learns from.

    Attributes:
        photos: ``(B,)`` numbers of the photos within the split.
        features: ``(B, Ti, C)`` their stem features.
        instruction: ``(1, Tt)`` ids of the caption instruction.
        caption_inputs: ``(B*C, T)`` decoder inputs, the start mark first.
        caption_targets: ``(B*C, T)`` next ids; ``IGNORED_TARGET`` at padding.
        caption_texts: ``(B*C, T+1)`` the captions as a text side; padded.
        pair_photos: ``(P,)`` which photo each entailment pair is about.
        pair_texts: ``(P, Tt)`` text side of each pair; padded.
        pair_hypotheses: ``(P, Th)`` the same without a premise.
        pair_labels: ``(P,)`` index of the label.
    """

    photos: Tensor
    features: Tensor
    instruction: Tensor
    caption_inputs: Tensor
    caption_targets: Tensor
    caption_texts: Tensor
    pair_photos: Tensor
    pair_texts: Tensor
    pair_hypotheses: Tensor
    pair_labels: Tensor


class TrainData:
    """Draws the batch of any step from the training split."""

    def __init__(
        self,
        config: DataConfig,
        model_config: ModelConfig,
        tokenizer: WordPieceTokenizer,
        features: np.ndarray,
        seed: int,
    ) -> None:
        """Read the split; ``features`` is ``(views, photos, Ti, C)`` in the split's order."""
        self._config = config
        self._max_text_tokens = model_config.max_text_tokens
        self._tokenizer = tokenizer
        self.features = features
        self.seed = seed
        self.pad_id = tokenizer.pad_id
        examples = read_captions(config.folder, "train")
        self.references = [item.captions for item in examples]
        longest = model_config.tasks["caption"].max_new_tokens
        self._captions = [
            [
                [*ids[: longest - 1], tokenizer.end_id]
                for ids in tokenizer.encode_many([normalise_caption(c) for c in item.captions])
            ]
            for item in examples
        ]
        self._labels = list(model_config.allowed_outputs("entailment"))
        self.pairs: list[list[EntailmentExample]] = [[] for _ in examples]
        position = {item.image: number for number, item in enumerate(examples)}
        for pair in read_entailment(config.folder, "train") if self._labels else ():
            if pair.image in position:  # some are about photos without captions in this split
                self.pairs[position[pair.image]].append(pair)
        instruction = model_config.tasks["caption"].instruction
        self._instruction = text_side(tokenizer, instruction, None, self._max_text_tokens)

    def batch(self, step: int) -> TrainBatch:
        """The batch of 0-based ``step``; the same for the same seed and step."""
        size = self._config.photos_per_batch
        rng = np.random.default_rng((self.seed, step))
        photos = self.photos(step, size)
        views = rng.integers(len(self.features), size=size)
        captions = [row for photo in photos for row in self._draw_captions(photo, rng)]
        sentences = sentence_rows(captions, self._tokenizer)
        pairs = self._draw_pairs(photos, rng)
        features = np.stack(
            [self.features[view, photo] for view, photo in zip(views, photos, strict=True)]
        )
        return TrainBatch(
            photos=torch.tensor(photos),
            features=torch.from_numpy(features.astype(np.float32)),
            instruction=torch.tensor([self._instruction]),
            caption_inputs=sentences.inputs,
            caption_targets=sentences.targets,
            caption_texts=pad_rows(
                [[self._tokenizer.start_id, *row] for row in captions], self._tokenizer.pad_id
            ),
            pair_photos=torch.tensor([number for number, _ in pairs], dtype=torch.long),
            pair_texts=self._pad_texts(
                [self._pair_text(photos[number], pair, rng) for number, pair in pairs]
            ),
            pair_hypotheses=self._pad_texts(
                [self.pair_side(pair.hypothesis, None) for _, pair in pairs]
            ),
            pair_labels=torch.tensor(
                [self._labels.index(pair.label) for _, pair in pairs], dtype=torch.long
            ),
        )

    def photos(self, step: int, size: int) -> list[int]:
        """Numbers of the photos of 0-based ``step``: every one is seen before any is again."""
        return photos_of_step(self.seed, step, size, len(self._captions))

    def caption_rows(self, photo: int) -> list[list[int]]:
        """Each caption of a photo as a text side."""
        return [[self._tokenizer.start_id, *row] for row in self._captions[photo]]

    def _draw_captions(self, photo: int, rng: np.random.Generator) -> list[list[int]]:
        rows = self._captions[photo]
        count = self._config.captions_per_photo
        order = rng.permutation(len(rows))
        return [rows[order[number % len(rows)]] for number in range(count)]

    def _draw_pairs(
        self, photos: Sequence[int], rng: np.random.Generator
    ) -> list[tuple[int, EntailmentExample]]:
        found = [
            (number, pair) for number, photo in enumerate(photos) for pair in self.pairs[photo]
        ]
        order = rng.permutation(len(found))[: self._config.pairs_per_batch]
        return [found[int(place)] for place in order]

    def _pair_text(
        self, photo: int, pair: EntailmentExample, rng: np.random.Generator
    ) -> list[int]:
        premise = None
        if rng.random() < self._config.premise_fraction:
            premise = pair.premise
            if premise is None and self._config.has_caption_premises:
                premise = self.draw_reference(photo, rng)
        return self.pair_side(pair.hypothesis, premise)

    def draw_reference(self, photo: int, rng: np.random.Generator) -> str:
        """One of people's captions of a photo, as it was written."""
        captions = self.references[photo]
        return captions[int(rng.integers(len(captions)))]

    def pair_side(self, hypothesis: str, premise: str | None) -> list[int]:
        """Ids of the text side of a pair."""
        return text_side(self._tokenizer, hypothesis, premise, self._max_text_tokens)

    def _pad_texts(self, rows: list[list[int]]) -> Tensor:
        return pad_rows(rows or [[self.pad_id]], self.pad_id)[: len(rows)]


def photos_of_step(seed: int, step: int, size: int, count: int) -> list[int]:
    """Numbers below ``count`` of the ``size`` photos of 0-based ``step``, in an order by epoch."""
    places = range(step * size, (step + 1) * size)
    orders = {
        epoch: np.random.default_rng((seed, epoch, 1)).permutation(count)
        for epoch in range(places[0] // count, places[-1] // count + 1)
    }
    return [int(orders[place // count][place % count]) for place in places]
