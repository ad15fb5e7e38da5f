"""Quality metrics: CIDEr, BLEU, ROUGE-L and variety of captions, accuracy and recall of labels.

The scorers are the reference implementation's (pycocoevalcap). Its tokenizer needs a Java runtime,
so sentences are split here by the rule that it amounts to for such captions: lower case, words and
numbers, without punctuation.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

HEADLINE_METRICS: Mapping[str, str] = {"caption": "cider", "accuracy": "accuracy"}
GIVEN_PREMISE = "accuracy_given_premise"
_WORD = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*")


def tokenize_caption(text: str) -> str:
    """The words of a caption as the scorers compare them, joined by spaces."""
    return " ".join(_WORD.findall(text.lower().replace("'s", " 's").replace(" 's", " s")))


def caption_metrics(
    captions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Corpus scores: against the references, and of the captions themselves.

    ``cider``, ``bleu1``..``bleu4`` (1.0 being a BLEU of 100), ``rouge_l``, ``mean_length`` in
    words, and what ``variety`` says.

    Args:
        captions: One per photo.
        references: The human sentences of each photo, in the same order.

    Raises:
        ValueError: The lengths differ, or there is nothing to score.
    """
    if len(captions) != len(references) or not captions:
        raise ValueError(f"{len(captions)} captions for {len(references)} sets of references")
    given, wanted = _numbered(captions, references)
    bleu, _ = Bleu(4).compute_score(wanted, given, verbose=0)
    cider, _ = Cider().compute_score(wanted, given)
    return {
        "cider": float(cider),
        **{f"bleu{order}": float(score) for order, score in enumerate(bleu, start=1)},
        "rouge_l": float(rouge_scores(captions, references).mean()),
        "mean_length": float(caption_lengths(captions).mean()),
        **variety(captions),
    }


def rouge_scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """``(N,)`` ROUGE-L of each caption, by the best precision and recall over its references."""
    given, wanted = _numbered(captions, references)
    _, scores = Rouge().compute_score(wanted, given)
    return np.asarray(scores, dtype=np.float64)


def caption_lengths(captions: Sequence[str]) -> np.ndarray:
    """``(N,)`` words of each caption."""
    return np.array([len(tokenize_caption(text).split()) for text in captions], dtype=np.float64)


def variety(captions: Sequence[str]) -> dict[str, float]:
    """How much captions differ from one another, whatever the photos show.

    ``distinct1`` and ``distinct2`` are the different words and pairs of neighbouring words over all
    of them, counted over the whole corpus (arXiv 1510.03055); ``distinct_captions`` is the share
    of captions that no earlier one repeats. All fall as a corpus grows: compare equal numbers.
    """
    texts = [tokenize_caption(text) for text in captions]
    rows = [text.split() for text in texts]
    return {
        "distinct1": _distinct_share([word for row in rows for word in row]),
        "distinct2": _distinct_share([pair for row in rows for pair in pairwise(row)]),
        "distinct_captions": _distinct_share(texts),
    }


def _distinct_share(items: Sequence[Hashable]) -> float:
    return len(set(items)) / len(items) if items else 0.0


def example_scores(
    metric: str, texts: Sequence[str], references: Sequence[Sequence[str]]
) -> np.ndarray:
    """``(N,)`` what each answer scores; their mean is the task's headline metric.

    Args:
        metric: ``cider`` (with the document frequencies of these ``references``) or ``accuracy``.
        texts: One answer per example.
        references: What people answered to each; a label stands alone.
    """
    if metric == "accuracy":
        hits = [text == wanted[0] for text, wanted in zip(texts, references, strict=True)]
        return np.array(hits, dtype=np.float64)
    given, wanted = _numbered(texts, references)
    _, scores = Cider().compute_score(wanted, given)
    return np.asarray(scores, dtype=np.float64)


def _numbered(
    captions: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Captions and references, tokenized, by number: what the scorers take."""
    given = {number: [tokenize_caption(text)] for number, text in enumerate(captions)}
    wanted = {
        number: [tokenize_caption(text) for text in texts]
        for number, texts in enumerate(references)
    }
    return given, wanted


def label_metrics(
    predicted: Sequence[str],
    expected: Sequence[str],
    labels: Sequence[str],
    has_premise: Sequence[bool] = (),
) -> dict[str, float]:
    """``accuracy`` and ``recall_<label>`` of every label (0 for a label that never occurs).

    ``has_premise`` says which examples were shown a premise: those that were make
    ``accuracy_given_premise``, which is absent when none was.

    Raises:
        ValueError: The lengths differ, or there is nothing to score.
    """
    if len(predicted) != len(expected) or not expected:
        raise ValueError(f"{len(predicted)} predictions for {len(expected)} labels")
    hits = [given == wanted for given, wanted in zip(predicted, expected, strict=True)]
    metrics = {"accuracy": sum(hits) / len(hits)}
    for label in labels:
        of_label = [hit for hit, wanted in zip(hits, expected, strict=True) if wanted == label]
        metrics[f"recall_{label}"] = sum(of_label) / len(of_label) if of_label else 0.0
    if any(has_premise):
        premised = [hit for hit, is_one in zip(hits, has_premise, strict=True) if is_one]
        metrics[GIVEN_PREMISE] = sum(premised) / len(premised)
    return metrics


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; 0 for nothing."""
    return sum(values) / len(values) if values else 0.0


def relative_saving(run: float, full: float) -> float:
    """Share of ``full`` that was not spent, ``1 - run / full``."""
    return 1.0 - run / full
