"""The search for settings worth testing: each site alone, then the combinations that promise most.

Exit sites hardly know of each other: what a combination changes is nearly the sum of what its sites
change alone, photo by photo, and so is what it saves. So the policies of each site are tried alone
on a few examples, every combination is *foretold* from them, and only the cheapest ones of several
degrees of sureness are tried, on all examples of the searching part. Nothing here needs to be
unbiased: the settings are tested on other photos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np

from model_core.config import ExitConfig
from model_core.evaluation.answer_counts import policy_kind
from model_core.evaluation.answer_record import CHUNK
from model_core.evaluation.grids import ENCODER_KINDS, NEVER, SEARCHED_DECODER_KINDS, site_paths
from model_core.evaluation.trials import Part, Trial
from model_core.policies import ExitSite

NUM_CAPTIONS, NUM_LABELS = CHUNK, 4 * CHUNK  # that try a site alone; a label takes one step
# Foretold evidence at which the cheapest combination is tried: from what hardly changes an answer,
# for chains whose order the searching part gets wrong, to what keeps the target as likely as not.
SURENESS = (16.0, 8.0, 4.0, 2.0, 0.0)


@dataclass(frozen=True)
class SearchSpace:
    """Which settings the search may combine.

    Attributes:
        num_encoder_layers: Layers there are.
        num_decoder_layers: Layers there are.
        has_text: False leaves the text at full depth.
        has_steps: False where an answer takes one step.
        decoder_kinds: Kinds of policy in the decoder.
        encoder_kinds: Kinds of policy in the encoder.
        first_exit_depth: Fewest decoder layers that may run.
    """

    num_encoder_layers: int
    num_decoder_layers: int
    has_text: bool
    has_steps: bool
    decoder_kinds: Sequence[str] = SEARCHED_DECODER_KINDS
    encoder_kinds: Sequence[str] = ENCODER_KINDS
    first_exit_depth: int = 1

    def paths(self, site: ExitSite) -> Iterator[list[ExitConfig]]:
        """Settings that differ from full depth at one site, each path safe to cheap."""
        if site is ExitSite.TEXT and not self.has_text:
            return
        is_decoder = site is ExitSite.DECODER
        num_layers = self.num_decoder_layers if is_decoder else self.num_encoder_layers
        first_exit = self.first_exit_depth if is_decoder else 1
        for kind in self.decoder_kinds if is_decoder else self.encoder_kinds:
            if kind != NEVER:
                for path in site_paths(site, kind, num_layers, self.has_steps, first_exit):
                    yield [ExitConfig.model_validate({site.value: policy}) for policy in path]


class SingleSite(NamedTuple):
    """One site alone.

    Attributes:
        exits: Full depth at the other sites.
        change: ``(N,)`` what each score differs from full depth's.
        cost_saved: Share of full depth's cost.
    """

    exits: ExitConfig
    change: np.ndarray
    cost_saved: float


class Foretold(NamedTuple):
    """A combination that was not tried: what it should save, and its evidence by target."""

    exits: ExitConfig
    cost_saved: float
    evidence: np.ndarray


@dataclass
class Search:
    """Tries settings on the searching part.

    Attributes:
        space: What may be combined.
        part: The searching part.
        targets: Shares of full depth's quality.
        trials: Those made on the whole part, in order.
    """

    space: SearchSpace
    part: Part
    targets: Sequence[float]
    trials: list[Trial] = field(default_factory=list)

    def run(self) -> list[Trial]:
        """Trials on the whole part, in the order they were made."""
        foretold = self._combinations([self._singles(site) for site in ExitSite])
        chosen: dict[ExitConfig, None] = {}
        for kind in self.decoder_kinds:
            of_kind = [item for item in foretold if has_decoder_kind(item.exits, kind)]
            for number in range(len(self.targets)):
                chosen |= dict.fromkeys(cheapest_by_sureness(of_kind, number))
        self.trials += [self.part.run(exits) for exits in chosen]
        return self.trials

    @property
    def decoder_kinds(self) -> list[str]:
        """Kinds that combinations are foretold for; full depth in the decoder if it is all."""
        return [kind for kind in self.space.decoder_kinds if kind != NEVER] or [NEVER]

    def _singles(self, site: ExitSite) -> list[SingleSite]:
        """Policies of one site; a path ends with the first that fails the lowest target clearly."""
        nothing = SingleSite(ExitConfig(), np.zeros(len(self._full)), 0.0)
        singles = [nothing]
        for path in self.space.paths(site):
            for exits in path:
                trial = self.part.run(exits, self._limit)
                change = self.part.scores(exits, self._limit) - self._full
                singles.append(SingleSite(exits, change, trial.cost_saved))
                if trial.kept.upper < min(self.targets):
                    break
        return singles

    def _combinations(self, by_site: Sequence[Sequence[SingleSite]]) -> list[Foretold]:
        more_photos = self.part.num_examples / len(self._full)
        return [
            foretell(singles, self._full, self.targets, more_photos)
            for singles in product(*by_site)
        ]

    @property
    def _limit(self) -> int:
        return NUM_CAPTIONS if self.space.has_steps else NUM_LABELS

    @cached_property
    def _full(self) -> np.ndarray:
        return self.part.scores(ExitConfig(), self._limit)


def foretell(
    singles: Sequence[SingleSite], full: np.ndarray, targets: Sequence[float], more_photos: float
) -> Foretold:
    """The combination of one setting per site.

    Args:
        singles: In the order of ``ExitSite``.
        full: ``(N,)`` full depth's scores.
        targets: Shares of their mean.
        more_photos: How many times N the part has; evidence grows with the root of it.
    """
    sites = {
        site.value: getattr(single.exits, site.value)
        for site, single in zip(ExitSite, singles, strict=True)
    }
    early = np.maximum(0.0, full + sum(single.change for single in singles))
    return Foretold(
        ExitConfig.model_validate(sites),
        sum(single.cost_saved for single in singles),
        np.sqrt(more_photos) * foretold_evidence(full, early, targets),
    )


def has_decoder_kind(exits: ExitConfig, kind: str) -> bool:
    """True where the decoder has that kind of policy, or none."""
    return policy_kind(exits.decoder) in (kind, NEVER)


def group_by_kind(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Trials by the kind of policy in the decoder, or else in the encoder.

    No trial is in two groups: then an unlucky one ends the tests of its own kind alone.
    """
    groups: dict[tuple[bool, str], list[Trial]] = {}
    for trial in trials:
        kinds = [policy_kind(getattr(trial.exits, site)) for site in ("decoder", "image", "text")]
        kind = next((kind for kind in kinds if kind != NEVER), NEVER)
        groups.setdefault((kinds[0] != NEVER, kind), []).append(trial)
    return list(groups.values())


def foretold_evidence(full: np.ndarray, early: np.ndarray, targets: Sequence[float]) -> np.ndarray:
    """By target: standard errors by which the mean of ``(N,)`` ``early`` is above the target.

    A plain normal approximation of ``PairedScores.evidence``: thousands of combinations are
    compared.
    """
    wanted = np.asarray(targets)[:, None]
    differences = early - wanted * full
    errors = differences.std(axis=1) / np.sqrt(len(full))
    evidence: np.ndarray = differences.mean(axis=1) / np.maximum(errors, 1e-12)
    return evidence


def cheapest_by_sureness(foretold: Sequence[Foretold], target_index: int) -> list[ExitConfig]:
    """For each ``SURENESS`` the combination that saves most, if one saves anything."""
    found: dict[ExitConfig, None] = {}
    for least in SURENESS:
        sure = [
            item
            for item in foretold
            if item.cost_saved > 0 and item.evidence[target_index] >= least
        ]
        if sure:
            found[max(sure, key=lambda item: item.cost_saved).exits] = None
    return list(found)
