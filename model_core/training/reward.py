"""CIDEr-D of a caption as a reward, with the document frequencies of the training split."""

from collections.abc import Sequence

import numpy as np
from pycocoevalcap.cider.cider_scorer import CiderScorer, cook_refs, cook_test

from model_core.evaluation.metrics import tokenize_caption


class CiderReward(CiderScorer):  # type: ignore[misc]
    """The reference implementation with a fixed corpus: scoring a few captions leaves it alone."""

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        """``references``: the human sentences of each photo of the split."""
        super().__init__()
        self._cooked = [
            cook_refs([tokenize_caption(text) for text in texts]) for texts in references
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

    def score(self, photos: Sequence[int], captions: Sequence[str]) -> np.ndarray:
        """CIDEr-D of each caption; ``photos`` are numbers within the split."""
        self.crefs = [self._cooked[photo] for photo in photos]
        self.ctest = [cook_test(tokenize_caption(caption)) for caption in captions]
        return np.array(self.compute_cider())
