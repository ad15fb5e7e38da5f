"""Text alone: sentences with gaps to fill in, and premise and hypothesis pairs, for any step."""

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
from model_core.training.data import IGNORED_TARGET, normalise_caption

SENTENCES_FILE = "flickr30k_captions.jsonl.gz"
PAIRS_FILE = "nli_text.jsonl.gz"
KEPT_SHARE = (0.1, 0.7)  # of the pieces of a sentence that stay visible, drawn per sentence


@dataclass(frozen=True)
class TextPair:
    """Two sentences and whether the first entails the second."""

    premise: str
    hypothesis: str
    label: str


def read_sentences(folder: Path) -> list[str]:
    """The captions of the text folder.

    Raises:
        InputError: The file is missing or a line is wrong.
    """
    rows = _read_rows(folder / SENTENCES_FILE, "captions")
    return [normalise_caption(caption) for row in rows for caption in row["captions"]]


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
        gapped: ``(S, Tt)`` the sentences with gaps, as a text side; padded.
        inputs: ``(S, T)`` decoder inputs, the start mark first.
        targets: ``(S, T)`` next ids; ``IGNORED_TARGET`` at padding.
        pair_texts: ``(P, Tt)`` premise and hypothesis; padded.
        pair_labels: ``(P,)`` index of the label.
    """

    gapped: Tensor
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
        self._tokenizer = tokenizer
        self._max_text_tokens = model_config.max_text_tokens
        self._labels = list(model_config.tasks["entailment"].allowed_outputs)
        self._pairs = [pair for pair in read_pairs(folder) if pair.label in self._labels]

    def draw(self, rng: np.random.Generator) -> DrawnPairs:
        """Pairs drawn with replacement."""
        numbers = rng.integers(len(self._pairs), size=self._count)
        pairs = [self._pairs[int(number)] for number in numbers]
        texts = [
            text_side(self._tokenizer, pair.hypothesis, pair.premise, self._max_text_tokens)
            for pair in pairs
        ]
        return DrawnPairs(
            pad_rows(texts, self._tokenizer.pad_id),
            torch.tensor([self._labels.index(pair.label) for pair in pairs]),
        )


class TextData:
    """Draws the batch of any step."""

    def __init__(
        self,
        config: DataConfig,
        model_config: ModelConfig,
        tokenizer: WordPieceTokenizer,
        own_captions: Sequence[str],
        seed: int,
    ) -> None:
        """Read ``config.text_folder``; ``own_captions`` of the photos are learned from too.

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
        self._sentences = tokenizer.encode_many(
            [*own_captions, *read_sentences(config.text_folder)]
        )
        self._pairs = TextPairs(config, config.text_folder, model_config, tokenizer)

    def batch(self, step: int) -> TextBatch:
        """The batch of 0-based ``step``; the same for the same seed and step."""
        rng = np.random.default_rng((self.seed, step))
        rows = [
            self._sentences[int(number)]
            for number in rng.integers(len(self._sentences), size=self._config.sentences_per_batch)
        ]
        pairs = self._pairs.draw(rng)
        tokenizer = self._tokenizer
        targets = [[*row[: self._longest - 1], tokenizer.end_id] for row in rows]
        return TextBatch(
            gapped=pad_rows([self._with_gaps(row, rng) for row in rows], tokenizer.pad_id),
            inputs=pad_rows([[tokenizer.start_id, *row[:-1]] for row in targets], tokenizer.pad_id),
            targets=pad_rows(targets, IGNORED_TARGET),
            pair_texts=pairs.texts,
            pair_labels=pairs.labels,
        )

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
