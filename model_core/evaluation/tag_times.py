"""Times of tags without the stem, every setting beside the others in one run.

Each batch of photos runs under every setting of every model in turn, from another one on each time,
so that a slow moment of the machine hits all of them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.progress import track
from torch import Tensor

from model_core.config import ExitConfig
from model_core.evaluation.benchmark import Spread, spread_of, whole_batches
from model_core.evaluation.metrics import relative_saving
from model_core.policies import ExitPolicy, NeverPolicy
from model_core.tagging import MAX_BATCH_SIZE, Tagger, TagRequest


class TagTimes(BaseModel):
    """Times of one setting at one batch size.

    Attributes:
        ms_without_stem: Encoder and heads, milliseconds per photo.
        wall_without_stem: Share of the time of full depth of the same model that is saved.
    """

    model_config = ConfigDict(extra="forbid")

    ms_without_stem: Spread
    wall_without_stem: float


class Timed(NamedTuple):
    """A model, by its name, under a policy at the image."""

    model: str
    policy: ExitPolicy


def time_tags(
    taggers: Mapping[str, Tagger],
    settings: Sequence[Timed],
    features: Sequence[Tensor],
    batch_size: int,
) -> dict[Timed, TagTimes]:
    """Times of the settings; full depth of each model is measured too, as its reference.

    Args:
        taggers: By the names of their models.
        settings: What to measure.
        features: ``(Ti, C)`` stem features of the photos.
        batch_size: Photos at once.

    Raises:
        ValueError: There are fewer photos than the batch holds, or it is answered in parts.
    """
    if len(features) < batch_size:
        raise ValueError(f"{len(features)} photos are too few for a batch of {batch_size}")
    if batch_size > MAX_BATCH_SIZE:
        raise ValueError(f"batch size {batch_size} must not be above {MAX_BATCH_SIZE}")
    references = [Timed(name, NeverPolicy()) for name in taggers]
    samples = _interleaved(
        taggers,
        list(dict.fromkeys([*references, *settings])),
        whole_batches(features, batch_size),
    )
    spreads = {timed: spread_of(values) for timed, values in samples.items()}
    return {
        timed: TagTimes(
            ms_without_stem=spreads[timed],
            wall_without_stem=relative_saving(
                spreads[timed].median, spreads[Timed(timed.model, NeverPolicy())].median
            ),
        )
        for timed in settings
    }


def _interleaved(
    taggers: Mapping[str, Tagger], settings: Sequence[Timed], runs: Sequence[Sequence[Tensor]]
) -> dict[Timed, list[float]]:
    """Milliseconds per photo of every setting on every batch, after a warm-up of every model."""
    for name, tagger in taggers.items():
        _encode_ms(tagger, next(one.policy for one in settings if one.model == name), runs[0])
    samples: dict[Timed, list[float]] = defaultdict(list)
    console = Console(stderr=True)
    is_silent = not console.is_terminal
    label = f"batch size {len(runs[0])}"
    bar = track(runs, label, console=console, transient=True, disable=is_silent)
    for number, run in enumerate(bar):
        first = number % len(settings)
        for timed in [*settings[first:], *settings[:first]]:
            ms = _encode_ms(taggers[timed.model], timed.policy, run)
            samples[timed].append(ms / len(run))
    return samples


def _encode_ms(tagger: Tagger, policy: ExitPolicy, features: Sequence[Tensor]) -> float:
    exits = ExitConfig.model_validate({"image": policy})
    answers = tagger.answer([TagRequest(None, exits, features=one) for one in features])
    return answers[0].cost.stage_ms.encode  # the whole batch's
