"""WordPiece tokenizer, pruned to the pieces a corpus uses, and the ids with a meaning."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from model_core.errors import CheckpointError

PAD, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_PIECES = (PAD, UNKNOWN, START, END, MASK)


class PrunedVocabulary(NamedTuple):
    """A tokenizer over part of another's pieces.

    Attributes:
        tokenizer: The smaller tokenizer.
        source_ids: For each new id the id it had, to pick the rows of an embedding matrix.
    """

    tokenizer: "WordPieceTokenizer"
    source_ids: list[int]


class WordPieceTokenizer:
    """Text to ids and back; lower-cases, and never adds special pieces by itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.pad_id, self.unknown_id, self.start_id, self.end_id, self.mask_id = (
            self._special_id(piece) for piece in SPECIAL_PIECES
        )
        self._special_ids = frozenset(self._special_id(piece) for piece in SPECIAL_PIECES)
        self._parts: dict[tuple[int, bool], str] = {}

    def _special_id(self, piece: str) -> int:
        number = self._tokenizer.token_to_id(piece)
        if number is None:
            raise CheckpointError(f"tokenizer.json: the piece {piece} is missing")
        return int(number)

    @classmethod
    def from_file(cls, path: Path) -> "WordPieceTokenizer":
        """The tokenizer in a ``tokenizer.json``."""
        return cls(Tokenizer.from_str(path.read_text(encoding="utf-8")))

    def to_json(self) -> str:
        """The content of ``tokenizer.json``."""
        return str(self._tokenizer.to_str())

    @property
    def vocabulary_size(self) -> int:
        """Number of pieces."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``, without special pieces."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""
        batch = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [list(item.ids) for item in batch]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of ids; special pieces are left out."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def text_parts(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """What each id adds to the text of all: joined, they are ``decode``.

        A word after another brings the space before it; a special piece adds nothing.
        """
        parts: list[str] = []
        first_word: int | None = None
        for token_id in token_ids:
            parts.append(self._part(token_id, first_word))
            if first_word is None and token_id not in self._special_ids:
                first_word = token_id
        return tuple(parts)

    def _part(self, token_id: int, first_word: int | None) -> str:
        # WordPiece decodes each piece by itself, but for the space before all except the first.
        key = token_id, first_word is None
        if key not in self._parts:
            before = [] if first_word is None else [first_word]
            self._parts[key] = self.decode([*before, token_id])[len(self.decode(before)) :]
        return self._parts[key]

    def piece(self, token_id: int) -> str:
        """The piece as it is written, ``##`` kept; ``""`` for the end mark."""
        return "" if token_id == self.end_id else str(self._tokenizer.id_to_token(token_id))

    def word_id(self, word: str) -> int:
        """The id of a word that is one piece.

        Raises:
            ValueError: The word is unknown or falls into several pieces.
        """
        ids = self.encode(word)
        if len(ids) != 1 or ids[0] == self.unknown_id:
            raise ValueError(f"{word!r} must be a single known piece, got {len(ids)} pieces")
        return ids[0]

    def ids_in(self, other: "WordPieceTokenizer") -> list[int]:
        """The id that each piece has in a tokenizer that this one was pruned from."""
        theirs = other._tokenizer.get_vocab()
        pieces = sorted(self._tokenizer.get_vocab().items(), key=lambda item: item[1])
        return [theirs[piece] for piece, _ in pieces]

    def prune(
        self, texts: Iterable[str], words: Iterable[str] = (), min_count: int = 1
    ) -> PrunedVocabulary:
        """A tokenizer with only the pieces that ``texts`` use ``min_count`` times.

        Special pieces, ``words`` and every single character are kept, so that no Latin text becomes
        unknown.
        """
        counts: Counter[int] = Counter()
        for ids in self.encode_many(list(texts)):
            counts.update(ids)
        kept = {number for number, count in counts.items() if count >= min_count}
        kept.update(number for ids in self.encode_many(list(words)) for number in ids)
        content = json.loads(self.to_json())
        vocabulary: dict[str, int] = content["model"]["vocab"]
        kept.update(
            number
            for piece, number in vocabulary.items()
            if len(piece.removeprefix("##")) == 1 and piece.isascii()
        )
        kept.difference_update(vocabulary[piece] for piece in SPECIAL_PIECES)
        source_ids = [vocabulary[piece] for piece in SPECIAL_PIECES] + sorted(kept)
        return PrunedVocabulary(_with_vocabulary(content, source_ids), source_ids)


def text_side(
    tokenizer: WordPieceTokenizer, text: str, premise: str | None, max_tokens: int
) -> list[int]:
    """Ids of the encoder's text side: ``[CLS] premise [SEP] text [SEP]``, cut to ``max_tokens``.

    Only the premise is cut: the text is what the question is about.
    """
    ids = [*tokenizer.encode(text), tokenizer.end_id]
    before: list[int] = []
    if premise:
        room = max_tokens - 2 - len(ids)
        before = [*tokenizer.encode(premise)[: max(room, 0)], tokenizer.end_id]
    return [tokenizer.start_id, *before, *ids][:max_tokens]


def pad_rows(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """``(R, T)`` ids, shorter rows filled with ``value``."""
    padded = torch.full((len(rows), max(map(len, rows))), value, dtype=torch.long)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = torch.tensor(row, dtype=torch.long)
    return padded


def _with_vocabulary(content: dict[str, object], source_ids: list[int]) -> WordPieceTokenizer:
    model = content["model"]
    assert isinstance(model, dict)
    pieces = {number: piece for piece, number in model["vocab"].items()}
    model["vocab"] = {pieces[source]: new for new, source in enumerate(source_ids)}
    content["added_tokens"] = [
        {
            "id": new,
            "content": piece,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for new, piece in enumerate(SPECIAL_PIECES)
    ]
    content["post_processor"] = None
    return WordPieceTokenizer(Tokenizer.from_str(json.dumps(content)))
