"""Why a stop was made, in words for somebody who has not read the paper.

One sentence per kind of rule. Pure functions of ``serve.rules`` and recorded scores; knows nothing
of traces, HTML or figures.
"""

from collections.abc import Callable
from dataclasses import dataclass

from serve.rules import (
    ConfidenceRule,
    DecoderRule,
    EncoderRule,
    FixedDepthRule,
    ImageRule,
    NeverRule,
)

# None: the trace came without the rules it was made under.
ScoreRule = EncoderRule | ImageRule | DecoderRule | None


@dataclass(frozen=True)
class Stop:
    """Where something left and what was measured there.

    Attributes:
        site: ``image``, ``text`` or ``decoder``.
        depth: Layers it ran.
        num_layers: Layers there are.
        scores: One per depth, as far as they were recorded.
        thresholds: What each was compared with.
    """

    site: str
    depth: int
    num_layers: int
    scores: tuple[float, ...]
    thresholds: tuple[float, ...]


def score_name(rule: ScoreRule, site: str = "decoder") -> str:
    """What the score of a rule measures at a site, for an axis."""
    if site == "image" and isinstance(rule, ConfidenceRule):
        return "F1 that the head expects of its own tags"
    names = {
        "similarity": "similarity to the layer before (cosine)",
        "confidence": "probability of the best word piece",
        "entropy": "certainty (1 - entropy of the choice)",
        "margin": "lead of the best word piece over the second",
        "patience": "layers in a row that chose the same",
        "jei_dnn": "chance of leaving here, by the gates",
        "palbert": "chance of having halted by now",
        "shallow_exit": "probability of the best word piece",
        "classifier": "estimated chance that full depth says the same",
        "fixed_depth": "layers run",
        "never": "score (none is asked for)",
    }
    return names.get(getattr(rule, "kind", ""), "score")


def why_it_stopped(stop: Stop, rule: ScoreRule, lookahead: int | None = None) -> str:
    """One sentence on a stop.

    Args:
        stop: Where it left.
        rule: What was in force there, which makes the sentence say more.
        lookahead: Words drafted before full depth checks them, for the decoder.
    """
    if lookahead and stop.site == "decoder":
        drafted = f"after layer {len(stop.scores)} " if stop.scores else "before the last "
        return (
            f"Drafted {drafted}of {stop.num_layers}, then checked by the rest: the word is the "
            "one that full depth chooses."
        )
    if isinstance(rule, NeverRule):
        return f"All {stop.num_layers} layers ran: no early exit was asked for."
    if isinstance(rule, FixedDepthRule):
        return (
            f"Left after layer {stop.depth} of {stop.num_layers}, the fixed depth of the setting."
        )
    if not stop.scores or not stop.thresholds:
        return f"Left after layer {stop.depth} of {stop.num_layers}; no score was recorded."
    measured = measured_words(rule, stop.site, stop.scores[-1], stop.thresholds[-1])
    if stop.depth < stop.num_layers:
        return f"Left after layer {stop.depth} of {stop.num_layers}: {measured}."
    return (
        f"All {stop.num_layers} layers ran: none before the last was sure enough to stop. "
        f"At the end, {measured}."
    )


def measured_words(rule: ScoreRule, site: str, score: float, threshold: float) -> str:
    """What was measured and what the setting asks for, as the clause that ends the sentence."""
    if site == "image" and isinstance(rule, ConfidenceRule):
        return (
            f"its tags had an expected F1 of {score:.2f}, and the setting asks for {threshold:.2f}"
        )
    clause = CLAUSES.get(getattr(rule, "kind", ""), plain_clause)
    return clause(score, threshold)


def plain_clause(score: float, threshold: float) -> str:
    """The two numbers alone."""
    reached = "reached" if score >= threshold else "stayed below"
    return f"the score {score:.3f} {reached} the threshold {threshold:.3f}"


def similarity_clause(score: float, threshold: float) -> str:
    """How much the last layer changed; 1 - cosine is called change."""
    verdict = "no more than" if score >= threshold else "still more than"
    return (
        f"the last layer changed it by {percent(1 - score)}, {verdict} the "
        f"{percent(1 - threshold)} at which the setting lets it leave"
    )


def patience_clause(score: float, threshold: float) -> str:
    """How often the choice was repeated."""
    layers = "layer" if round(score) == 1 else "layers"
    return (
        f"{round(score)} further {layers} had chosen the same word, and the setting asks for "
        f"{round(threshold)}"
    )


def share_clause(subject: str) -> Callable[[float, float], str]:
    """A clause for a score that is a share of one."""

    def clause(score: float, threshold: float) -> str:
        return (
            f"{subject} was {percent(score)}, and the setting asks for at least "
            f"{percent(threshold)}"
        )

    return clause


def percent(share: float) -> str:
    """A share in per cent: with a digit after the point below ten, where it matters."""
    value = round(100 * share, 1)
    return f"{value:.1f} %" if abs(value) < 10 or value > 99 else f"{value:.0f} %"


CLAUSES: dict[str, Callable[[float, float], str]] = {
    "similarity": similarity_clause,
    "patience": patience_clause,
    "confidence": share_clause("the probability of the best word piece"),
    "shallow_exit": share_clause("the probability of the best word piece"),
    "entropy": share_clause("the certainty of the choice (1 - entropy)"),
    "margin": share_clause("the lead of the best word piece over the second"),
    "classifier": share_clause("the estimated chance that full depth says the same"),
    "palbert": share_clause("the chance of having halted by now"),
    "jei_dnn": share_clause("the chance of leaving here, by the gates,"),
}
