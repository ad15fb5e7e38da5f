"""A setting as a point: what it keeps of full depth's answers, and what it saves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from app.exits import saved_fraction
from app.exploration.examples import CAPTION, Example
from app.exploration.grid import Family, Setting
from app.exploration.outcomes import Findings, Outcome
from app.exploration.scores import caption_scores, label_accuracy

FULL = 0  # number of the full-depth setting


@dataclass(frozen=True)
class Point:
    """One setting on the examples that every setting has answered.

    Attributes:
        number: Of the setting.
        num_examples: That it stands on; ``num_scored`` of them have references or labels.
        agreement: Share of answers that are full depth's; None while full depth has none.
        cider: And ``bleu1``, ``bleu4``: captions against references; None without.
        accuracy: Of labels; None without.
        layers_saved: Share, as ``flops_saved``.
        ms: Median in the model.
        num_cached: Answers that were kept from before.
    """

    number: int
    setting: str
    family: Family
    num_examples: int
    num_scored: int
    agreement: float | None
    cider: float | None
    bleu1: float | None
    bleu4: float | None
    accuracy: float | None
    layers_saved: float
    flops_saved: float
    ms: float
    image_depth: float
    text_depth: float
    word_depth: float
    num_cached: int


@dataclass(frozen=True)
class Axis:
    """A measure of points."""

    label: str
    value: Callable[[Point], float | None]
    is_share: bool = True

    def words(self, point: Point) -> str:
        """The value in words."""
        value = self.value(point)
        if value is None:
            return "–"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.3g}"


COSTS = {
    "layers": Axis("layers saved", lambda point: point.layers_saved),
    "FLOPs": Axis("FLOPs saved", lambda point: point.flops_saved),
    "milliseconds": Axis("median milliseconds in the model", lambda point: point.ms, False),
}
QUALITIES = {
    "agreement": Axis("same answer as full depth", lambda point: point.agreement),
    "CIDEr": Axis("CIDEr", lambda point: point.cider, False),
    "BLEU-4": Axis("BLEU-4", lambda point: point.bleu4, False),
    "BLEU-1": Axis("BLEU-1", lambda point: point.bleu1, False),
    "accuracy": Axis("accuracy", lambda point: point.accuracy),
}


def make_points(findings: Findings) -> list[Point]:
    """A point per setting that has answers, on the examples that all of these answered."""
    common = findings.common_examples
    if not common:
        return []
    examples = [findings.examples[number] for number in common]
    answered = findings.answered_settings
    full = findings.row(FULL, common) if FULL in answered else None
    return [
        make_point(
            number,
            findings.settings[number],
            findings.row(number, common),
            full,
            quality_scores(findings.task, examples, findings.row(number, common)),
        )
        for number in answered
    ]


def make_point(
    number: int,
    setting: Setting,
    row: Sequence[Outcome],
    full: Sequence[Outcome] | None,
    scores: dict[str, float],
) -> Point:
    """One setting's point from its outcomes, full depth's, and its scores."""
    return Point(
        number=number,
        setting=setting.name,
        family=setting.family,
        num_examples=len(row),
        num_scored=int(scores.get("num_scored", 0)),
        agreement=agreement(row, full) if full else None,
        cider=scores.get("cider"),
        bleu1=scores.get("bleu1"),
        bleu4=scores.get("bleu4"),
        accuracy=scores.get("accuracy"),
        layers_saved=saved_fraction(
            sum(one.layers_run for one in row), sum(one.layers_full for one in row)
        ),
        flops_saved=saved_fraction(
            sum(one.flops for one in row), sum(one.flops_full for one in row)
        ),
        ms=median(one.ms for one in row),
        image_depth=fmean(one.image_depth for one in row),
        text_depth=fmean(one.text_depth for one in row),
        word_depth=fmean(one.word_depth for one in row),
        num_cached=sum(one.is_cached for one in row),
    )


def agreement(row: Sequence[Outcome], full: Sequence[Outcome]) -> float:
    """Share of answers that are the same, word for word."""
    return fmean(one.text == other.text for one, other in zip(row, full, strict=True))


def quality_scores(
    task: str, examples: Sequence[Example], row: Sequence[Outcome]
) -> dict[str, float]:
    """Scores against what people answered, on the examples where that is known."""
    pairs = list(zip(examples, (one.text for one in row), strict=True))
    if task == CAPTION:
        known = [(text, example.references) for example, text in pairs if example.references]
        return {**caption_scores(known), "num_scored": len(known)}
    judged = [(text, example.label) for example, text in pairs if example.label]
    return {**label_accuracy(judged), "num_scored": len(judged)}


def offered_qualities(findings: Findings) -> list[str]:
    """The measures of quality that the examples allow, the most telling first."""
    if any(example.references for example in findings.examples):
        return ["CIDEr", "BLEU-4", "BLEU-1", "agreement"]
    if any(example.label for example in findings.examples):
        return ["accuracy", "agreement"]
    return ["agreement"]
