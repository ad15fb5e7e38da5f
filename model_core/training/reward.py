"""CIDEr-D of a caption as a reward, with the document frequencies of the training split."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocoevalcap.cider.cider_scorer import CiderScorer, cook_refs, cook_test

from model_core.evaluation.metrics import tokenize_caption

END_WORD = "<end>"


class DrawnCaption(NamedTuple):
    """A drawn caption, and whether it was ended by its end mark rather than by the limit."""

    text: str
    is_ended: bool


class CiderReward(CiderScorer):  # type: ignore[misc]
    """The reference implementation with a fixed corpus: scoring a few captions leaves it alone.

    The end counts as a word, in references too: without it, captions learn to stop after
    "on a", which costs their n-grams nothing.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        """``references``: the human sentences of each photo of the split."""
        super().__init__()
        self._cooked = [
            cook_refs([f"{tokenize_caption(text)} {END_WORD}" for text in texts])
            for texts in references
        ]
        self.crefs = self._cooked
        self.compute_doc_freq()

    @property
    def ref_len(self) -> float:
        """Log of the number of photos; the base class would set that of the captions scored."""
        return float(np.log(len(self._cooked)))

    @ref_len.setter
    def ref_len(self, value: float | None) -> None:
        pass

    def score(self, photos: Sequence[int], captions: Sequence[DrawnCaption]) -> np.ndarray:
        """CIDEr-D of each caption; ``photos`` are numbers within the split."""
        self.crefs = [self._cooked[photo] for photo in photos]
        self.ctest = [
            cook_test(tokenize_caption(text) + f" {END_WORD}" * is_ended)
            for text, is_ended in captions
        ]
        return np.array(self.compute_cider())
