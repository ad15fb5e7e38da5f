"""CIDEr and BLEU of captions, accuracy of labels, on a handful of examples.

The scorers are the reference implementation's, on words split as the project's evaluation does.
CIDEr weighs a word by how few of the photos have it in their references: on few photos those
weights are rough, and on one photo they are all zero.
"""

import re
from collections.abc import Sequence
from statistics import fmean

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider

_WORD = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*")


def caption_scores(captions: Sequence[tuple[str, Sequence[str]]]) -> dict[str, float]:
    """``cider``, ``bleu1`` and ``bleu4`` of captions with their references; empty without any."""
    if not captions:
        return {}
    given = {number: [words(text)] for number, (text, _) in enumerate(captions)}
    wanted = {number: [words(text) for text in texts] for number, (_, texts) in enumerate(captions)}
    bleu, _ = Bleu(4).compute_score(wanted, given, verbose=0)
    cider, _ = Cider().compute_score(wanted, given)
    return {"cider": float(cider), "bleu1": float(bleu[0]), "bleu4": float(bleu[3])}


def label_accuracy(labels: Sequence[tuple[str, str]]) -> dict[str, float]:
    """``accuracy`` of (given, wanted) labels; empty without any."""
    return {"accuracy": fmean(given == wanted for given, wanted in labels)} if labels else {}


def words(text: str) -> str:
    """The words of a caption as the scorers compare them, joined by spaces."""
    return " ".join(_WORD.findall(text.lower().replace("'s", " 's").replace(" 's", " s")))
