"""Do the caption metrics rank captions as people do? Kendall's tau with the ratings of Flickr8k.

People rated captions of other photos beside a photo: the experts on a scale of 1 to 4, the crowd by
yes or no. Each rated caption is scored against the photo's own references, and the scores are
compared with the ratings (arXiv 1607.08822, section 4; tau-c is its convention).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pydantic import BaseModel, ConfigDict
from scipy.stats import kendalltau

from model_core.errors import InputError
from model_core.evaluation.intervals import BLEU_ORDERS
from model_core.evaluation.metrics import example_scores, rouge_scores, tokenize_caption
from model_core.training.data import SPLITS, read_captions


@dataclass(frozen=True)
class RatedCaption:
    """A caption beside a photo, and one number per opinion."""

    image: str
    caption: str
    ratings: tuple[float, ...]


class Agreement(BaseModel):
    """How far a metric and people rank alike, -1 to 1; ``tau_c`` and ``tau_b`` treat ties apart."""

    model_config = ConfigDict(extra="forbid")

    tau_c: float
    tau_b: float


class JudgmentResult(BaseModel):
    """Agreement of the metrics with one set of ratings.

    Attributes:
        num_captions: Rated captions that were scored.
        num_ratings: Opinions about them; each is compared on its own.
        num_left_out: Rated captions that are a reference of the photo word for word.
        num_without_references: Rated captions of photos that the folder has no captions of.
        metrics: By name.
    """

    model_config = ConfigDict(extra="forbid")

    num_captions: int
    num_ratings: int
    num_left_out: int
    num_without_references: int
    metrics: dict[str, Agreement]


class Judgments(BaseModel):
    """Both sets of ratings."""

    model_config = ConfigDict(extra="forbid")

    experts: JudgmentResult
    crowd: JudgmentResult


def judge_metrics(folder: Path) -> Judgments:
    """Agreement on the ratings in a data folder.

    Raises:
        InputError: A file is missing or wrong.
    """
    references = {
        item.image: item.captions for split in SPLITS for item in read_captions(folder, split)
    }
    return Judgments(
        experts=judge(read_experts(folder / "judgments_expert.jsonl"), references),
        crowd=judge(read_crowd(folder / "judgments_crowdflower.jsonl"), references),
    )


def read_experts(path: Path) -> list[RatedCaption]:
    """Expert ratings: several scores of 1 to 4 for each caption.

    Raises:
        InputError: The file is missing or a line is wrong.
    """
    return [
        RatedCaption(row["image"], row["caption"], tuple(map(float, row["scores"])))
        for row in _rows(path, ("image", "caption", "scores"))
    ]


def read_crowd(path: Path) -> list[RatedCaption]:
    """Ratings of the crowd: one number for each caption, the share of those who said yes.

    Raises:
        InputError: The file is missing or a line is wrong.
    """
    return [
        RatedCaption(row["image"], row["caption"], (row["yes"] / (row["yes"] + row["no"]),))
        for row in _rows(path, ("image", "caption", "yes", "no"))
    ]


def _rows(path: Path, fields: Sequence[str]) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path}: not found; the ratings of Flickr8k are read from it")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not JSON ({error.msg})") from error
        missing = [field for field in fields if field not in row]
        if missing:
            raise InputError(f"{path}:{number}: field {missing[0]!r} is missing")
        rows.append(row)
    return rows


def judge(rated: Sequence[RatedCaption], references: Mapping[str, Sequence[str]]) -> JudgmentResult:
    """Agreement of every metric with these ratings.

    CIDEr takes its document frequencies from the photos as often as they are rated, which is what
    the reference implementation does when it is given one photo per rated caption.
    """
    known = [item for item in rated if item.image in references]
    kept = [item for item in known if not _is_reference(item, references[item.image])]
    if not kept:
        raise InputError("no rated caption is about a photo of this folder")
    texts = [item.caption for item in kept]
    wanted = [references[item.image] for item in kept]
    bleu = bleu_scores(texts, wanted)
    scores = {
        "cider": example_scores("cider", texts, wanted),
        "bleu1": bleu[0],
        "bleu4": bleu[3],
        "rouge_l": rouge_scores(texts, wanted),
    }
    return JudgmentResult(
        num_captions=len(kept),
        num_ratings=sum(len(item.ratings) for item in kept),
        num_left_out=len(known) - len(kept),
        num_without_references=len(rated) - len(known),
        metrics={name: agreement(values, kept) for name, values in scores.items()},
    )


def _is_reference(item: RatedCaption, references: Sequence[str]) -> bool:
    text = tokenize_caption(item.caption)
    return any(tokenize_caption(reference) == text for reference in references)


def bleu_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """``(4, N)`` BLEU-1 to BLEU-4 of sentences, smoothed as the reference implementation does."""
    given = {number: [tokenize_caption(text)] for number, text in enumerate(texts)}
    wanted = {
        number: [tokenize_caption(text) for text in group]
        for number, group in enumerate(references)
    }
    _, scores = Bleu(BLEU_ORDERS).compute_score(wanted, given, verbose=0)
    return np.asarray(scores, dtype=np.float64)


def agreement(scores: np.ndarray, rated: Sequence[RatedCaption]) -> Agreement:
    """Kendall's tau of ``(N,)`` scores and every single opinion; 0 where all scores are equal."""
    counts = [len(item.ratings) for item in rated]
    repeated = np.repeat(scores, counts)
    ratings = np.array([rating for item in rated for rating in item.ratings])
    tau_c, tau_b = (
        float(np.nan_to_num(kendalltau(repeated, ratings, variant=variant).statistic))
        for variant in ("c", "b")
    )
    return Agreement(tau_c=tau_c, tau_b=tau_b)
