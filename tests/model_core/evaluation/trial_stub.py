"""Trials without a model."""

from model_core.config import ExitConfig
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.likelihood import KeptShare
from model_core.evaluation.trials import Trial


def make_trial(
    setting: str,
    saved: float,
    evidence: float = 3.0,
    exits: ExitConfig | None = None,
    upper: float = 1.0,
) -> Trial:
    """A trial with one target."""
    return Trial(
        setting=setting,
        exits=exits or ExitConfig(),
        num_examples=10,
        quality=0.5,
        kept=KeptShare(0.9, 0.95, upper),
        evidence=(evidence,),
        cost_saved=saved,
        saving=Saving(0, 0),
        mean_depth=MeanDepth(1, 1, 1),
    )
