"""What answers ran, counted from their traces and added up: the raw material of every cost.

Sums are all that is kept of an answer's cost, so that thousands of answers fit into a line of a
file and the cost of a combination can be foretold from its parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_core.config import ExitConfig
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.metrics import relative_saving
from model_core.policies import ExitPolicy, FixedDepthPolicy, NeverPolicy
from model_core.types import Answer

Counts = Mapping[str, float]

ANSWERS = "answers"
IMAGE_LAYERS, TEXT_LAYERS = "image_layers", "text_layers"
IMAGE_SCORES, TEXT_SCORES = "image_scores", "text_scores"
STEPS, LATE_HEADS = "steps", "late_heads"
DECODER_LAYERS, CAUGHT_UP = "decoder_layers", "caught_up"
MEMORY_KEY_VALUES = "memory_key_values"
_TOTALS = ("layers_run", "layers_full", "flops", "flops_full", "image_depth", "text_depth")


def decoder_scores(kind: str) -> str:
    """Name of the count of decisions of a kind of decoder policy."""
    return f"{kind}_scores"


def time_parts(exits: ExitConfig, answer: Answer) -> dict[str, float]:
    """How often each part ran that costs time without the stem: what ``TimeModel`` prices.

    A text encoding that was computed once for the whole model costs nothing. An exit head is read
    once a step (``late_heads``), unless the decoder's policy reads it, whose scores then hold it.
    """
    encoder, tokens = answer.trace.encoder, answer.trace.decoder.tokens
    depths = sum(token.depth for token in tokens)
    text_layers = 0 if encoder.text.from_cache else encoder.text.depth
    parts: dict[str, float] = {
        ANSWERS: 1,
        IMAGE_LAYERS: encoder.image.depth,
        TEXT_LAYERS: text_layers,
        IMAGE_SCORES: encoder.image.depth if is_scored(exits.image) else 0,
        TEXT_SCORES: text_layers if is_scored(exits.text) else 0,
        STEPS: len(tokens),
        LATE_HEADS: 0 if exits.decoder.needs_logits else len(tokens),
        DECODER_LAYERS: depths,
        CAUGHT_UP: sum(token.computed_depth for token in tokens) - depths,
        MEMORY_KEY_VALUES: max(token.depth for token in tokens),
    }
    if is_scored(exits.decoder):
        parts[decoder_scores(policy_kind(exits.decoder))] = depths
    return parts


def is_scored(policy: ExitPolicy) -> bool:
    """True when a policy computes something from the states before it decides."""
    return not isinstance(policy, NeverPolicy | FixedDepthPolicy)


def policy_kind(policy: ExitPolicy) -> str:
    """The name under which the policy is registered."""
    return str(policy.model_dump()["kind"])


@dataclass(frozen=True)
class AnswerCounts:
    """Sums over some answers under one setting.

    Attributes:
        parts: ``time_parts``, added up.
        totals: Layers, operations and encoder depths, run and full, added up.
    """

    parts: Counts
    totals: Counts

    @classmethod
    def of(cls, exits: ExitConfig, answers: Sequence[Answer]) -> "AnswerCounts":
        """The counts of ``answers``."""
        return added_up([cls(time_parts(exits, answer), _totals(answer)) for answer in answers])

    @property
    def saving(self) -> Saving:
        """As ``evaluate.saving`` of the same answers."""
        run = self.totals
        return Saving(
            layers=relative_saving(run["layers_run"], run["layers_full"]),
            flops=relative_saving(run["flops"], run["flops_full"]),
        )

    @property
    def mean_depth(self) -> MeanDepth:
        """As ``evaluate.mean_depth`` of the same answers."""
        answers, steps = self.parts[ANSWERS], self.parts[STEPS]
        return MeanDepth(
            image=self.totals["image_depth"] / answers,
            text=self.totals["text_depth"] / answers,
            decoder=self.parts[DECODER_LAYERS] / steps,
        )


def _totals(answer: Answer) -> dict[str, float]:
    cost, encoder = answer.trace.cost, answer.trace.encoder
    values = (cost.layers_run, cost.layers_full, cost.flops, cost.flops_full)
    depths = (encoder.image.depth, encoder.text.depth)
    return dict(zip(_TOTALS, (*values, *depths), strict=True))


def added_up(counts: Sequence[AnswerCounts]) -> AnswerCounts:
    """The counts of several groups of answers under one setting."""
    return AnswerCounts(
        _sums([item.parts for item in counts]), _sums([item.totals for item in counts])
    )


def _sums(counts: Sequence[Counts]) -> dict[str, float]:
    names = dict.fromkeys(name for item in counts for name in item)
    return {name: sum(item.get(name, 0) for item in counts) for name in names}
