"""Text alone: sentences to fill in or to retell, and premise and hypothesis pairs, for any step."""

import gzip
import json
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
from model_core.training.data import normalise_caption, sentence_rows

SENTENCES_FILE = "flickr30k_captions.jsonl.gz"
PAIRS_FILE = "nli_text.jsonl.gz"
POOL_SIZE = 8  # batches; a step's pairs are drawn from neighbours in length
KEPT_SHARE = (0.1, 0.7)  # of the pieces of a sentence that stay visible, drawn per sentence


@dataclass(frozen=True)
class TextPair:
    """Two sentences and whether the first entails the second."""

    premise: str
    hypothesis: str
    label: str


def read_sentences(folder: Path) -> list[tuple[str, ...]]:
    """The captions of the text folder, those of one photo together.

    Raises:
        InputError: The file is missing or a line is wrong.
    """
    rows = _read_rows(folder / SENTENCES_FILE, "captions")
    return [tuple(normalise_caption(caption) for caption in row["captions"]) for row in rows]


def read_pairs(folder: Path) -> list[TextPair]:
    """The sentence pairs of the text folder.

    Raises:
        InputError: The file is missing or a line is wrong.
    """
    return [
        TextPair(row["premise"], row["hypothesis"], row["label"])
        for row in _read_rows(folder / PAIRS_FILE, "label")
    ]


def _read_rows(path: Path, field: str) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path}: not found; text_folder holds {SENTENCES_FILE} and {PAIRS_FILE}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            if field not in row:
                raise InputError(f"{path}:{number}: field {field!r} is missing")
            yield row


@dataclass(frozen=True)
class TextBatch:
    """What one step of the text recipe learns from.

    Attributes:
        shown: ``(S, Tt)`` the sentences with gaps, or other ones of their photos; padded.
        inputs: ``(S, T)`` decoder inputs, the start mark first.
        targets: ``(S, T)`` next ids; ``IGNORED_TARGET`` at padding.
        pair_texts: ``(P, Tt)`` premise and hypothesis; padded.
        pair_labels: ``(P,)`` index of the label.
    """

    shown: Tensor
    inputs: Tensor
    targets: Tensor
    pair_texts: Tensor
    pair_labels: Tensor


class DrawnPairs(NamedTuple):
    """``(P, Tt)`` padded ids of premise and hypothesis, ``(P,)`` index of the label."""

    texts: Tensor
    labels: Tensor


class TextPairs:
    """Premise and hypothesis pairs without a photo."""

    def __init__(
        self,
        config: DataConfig,
        folder: Path,
        model_config: ModelConfig,
        tokenizer: WordPieceTokenizer,
    ) -> None:
        """Read the pairs of ``folder`` whose label the model's entailment task has."""
        self._count = config.text_pairs_per_batch
        self._pad_id = tokenizer.pad_id
        labels = list(model_config.tasks["entailment"].allowed_outputs)
        pairs = [pair for pair in read_pairs(folder) if pair.label in labels]
        limit = model_config.max_text_tokens
        rows = [
            (text_side(tokenizer, pair.hypothesis, pair.premise, limit), labels.index(pair.label))
            for pair in pairs
        ]
        self._rows = sorted(rows, key=lambda row: len(row[0]))

    def draw(self, rng: np.random.Generator) -> DrawnPairs:
        """Pairs of about the same length, drawn with replacement: half of the padding is saved."""
        width = min(POOL_SIZE * self._count, len(self._rows))
        first = int(rng.integers(-width // 2, len(self._rows) - width // 2))
        first = min(max(first, 0), len(self._rows) - width)
        numbers = first + rng.integers(width, size=self._count)
        rows = [self._rows[int(number)] for number in numbers]
        return DrawnPairs(
            pad_rows([text for text, _ in rows], self._pad_id),
            torch.tensor([label for _, label in rows]),
        )


class TextData:
    """Draws the batch of any step."""

    def __init__(
        self,
        config: DataConfig,
        model_config: ModelConfig,
        tokenizer: WordPieceTokenizer,
        own_captions: Sequence[Sequence[str]],
        seed: int,
    ) -> None:
        """Read ``config.text_folder``; ``own_captions`` of each photo are learned from too.

        Raises:
            InputError: There is no text folder, or a file of it is wrong.
        """
        if config.text_folder is None:
            raise InputError("data.text_folder: must be set for the text recipe")
        self._config = config
        self._tokenizer = tokenizer
        self._max_text_tokens = model_config.max_text_tokens
        self._longest = model_config.tasks["caption"].max_new_tokens
        self.pad_id = tokenizer.pad_id
        self.seed = seed
        photos = [*own_captions, *read_sentences(config.text_folder)]
        self._sentences = tokenizer.encode_many([text for photo in photos for text in photo])
        sizes = np.array([len(photo) for photo in photos])
        starts = np.cumsum(sizes) - sizes
        self._first_of_photo = np.repeat(starts, sizes)
        self._photo_size = np.repeat(sizes, sizes)
        self._pairs = TextPairs(config, config.text_folder, model_config, tokenizer)

    def batch(self, step: int) -> TextBatch:
        """The batch of 0-based ``step``; the same for the same seed and step."""
        rng = np.random.default_rng((self.seed, step))
        numbers = rng.integers(len(self._sentences), size=self._config.sentences_per_batch)
        rows = [self._sentences[int(number)] for number in numbers]
        shown = [self._shown(int(number), rng) for number in numbers]
        pairs = self._pairs.draw(rng)
        tokenizer = self._tokenizer
        ended = [[*row[: self._longest - 1], tokenizer.end_id] for row in rows]
        sentences = sentence_rows(ended, tokenizer)
        return TextBatch(
            shown=pad_rows(shown, tokenizer.pad_id),
            inputs=sentences.inputs,
            targets=sentences.targets,
            pair_texts=pairs.texts,
            pair_labels=pairs.labels,
        )

    def _shown(self, number: int, rng: np.random.Generator) -> list[int]:
        """What the model sees of a sentence: what gaps left of it, or what others said instead."""
        size = int(self._photo_size[number])
        if rng.random() >= self._config.retold_fraction or size == 1:
            return self._with_gaps(self._sentences[number], rng)
        first = int(self._first_of_photo[number])
        another = first + (number - first + int(rng.integers(1, size))) % size
        told = [self._tokenizer.start_id, *self._sentences[another], self._tokenizer.end_id]
        return told[: self._max_text_tokens]

    def _with_gaps(self, row: Sequence[int], rng: np.random.Generator) -> list[int]:
        """The sentence with one mask for each run of hidden pieces, so that lengths stay open."""
        kept = rng.random(len(row)) < rng.uniform(*KEPT_SHARE)
        gapped = [self._tokenizer.start_id]
        for piece, is_kept in zip(row, kept, strict=True):
            if is_kept:
                gapped.append(piece)
            elif gapped[-1] != self._tokenizer.mask_id:
                gapped.append(self._tokenizer.mask_id)
        return [*gapped, self._tokenizer.end_id][: self._max_text_tokens]
