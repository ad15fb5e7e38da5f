"""The search on an invented part whose sites change scores independently of each other."""

from typing import cast

import numpy as np
import pytest

from model_core.config import ExitConfig
from model_core.evaluation.grids import NEVER
from model_core.evaluation.likelihood import PairedScores
from model_core.evaluation.search import (
    Foretold,
    Search,
    SearchSpace,
    SingleSite,
    cheapest_by_sureness,
    foretell,
    foretold_evidence,
    group_by_kind,
)
from model_core.evaluation.trials import Part, Trial
from model_core.policies import ConfidencePolicy, ExitSite, FixedDepthPolicy, SimilarityPolicy
from tests.model_core.evaluation.test_likelihood import draw_photos
from tests.model_core.evaluation.trial_stub import make_trial

TARGET = 0.9
SPACE = SearchSpace(4, 4, True, True, decoder_kinds=["confidence"], encoder_kinds=["fixed_depth"])


class InventedPart:
    """Image exits up to depth 2 and confidences below 0.3 lose much; text exits are harmless."""

    num_examples = 400

    def __init__(self) -> None:
        self.asked: list[tuple[ExitConfig, int | None]] = []
        self._full = np.random.default_rng(0).gamma(2.0, 0.5, self.num_examples)

    def scores(self, exits: ExitConfig, limit: int | None = None) -> np.ndarray:
        """Each harmful site loses 30 % of every score."""
        image, decoder = exits.image, exits.decoder
        harm = int(isinstance(image, FixedDepthPolicy) and image.depth <= 2)
        harm += int(isinstance(decoder, ConfidencePolicy) and decoder.threshold < 0.3)
        return self._full[:limit] * (1 - 0.3 * harm)

    def run(self, exits: ExitConfig, limit: int | None = None) -> Trial:
        """Deeper exits save more."""
        self.asked.append((exits, limit))
        full, early = self._full[:limit], self.scores(exits, limit)
        encoder = sum(
            4 - policy.depth
            for policy in (exits.image, exits.text)
            if isinstance(policy, FixedDepthPolicy)
        )
        decoder = exits.decoder
        fast = 1 - decoder.threshold if isinstance(decoder, ConfidencePolicy) else 0.0
        pairs = PairedScores(full, early)
        upper = pairs.early.sum() / pairs.full.sum() + 0.01
        saved = encoder / 30 + fast / 2
        return make_trial(str(exits), saved, pairs.evidence(TARGET), exits, upper)


@pytest.fixture
def part() -> InventedPart:
    return InventedPart()


def make_search(part: InventedPart, space: SearchSpace = SPACE) -> Search:
    return Search(space, cast(Part, part), (TARGET,))


def test_sites_are_tried_alone_and_no_further_than_a_clear_failure(part: InventedPart) -> None:
    make_search(part).run()
    alone = [exits for exits, limit in part.asked if limit is not None]
    images = [exits.image.depth for exits in alone if isinstance(exits.image, FixedDepthPolicy)]
    texts = [exits.text.depth for exits in alone if isinstance(exits.text, FixedDepthPolicy)]
    decoders = [
        exits.decoder.threshold for exits in alone if isinstance(exits.decoder, ConfidencePolicy)
    ]
    assert (images, texts) == ([3, 2], [3, 2, 1])
    assert decoders == [0.9, 0.7, 0.5, 0.3, 0.2]
    assert len(alone) == len(images) + len(texts) + len(decoders)


def test_cheapest_safe_combination_is_tried_on_the_whole_part(part: InventedPart) -> None:
    trials = make_search(part).run()
    whole = [exits for exits, limit in part.asked if limit is None]
    assert [trial.exits for trial in trials] == whole
    best = max((trial for trial in trials if trial.evidence[0] > 0), key=lambda t: t.cost_saved)
    assert best.exits == ExitConfig(
        image=FixedDepthPolicy(depth=3),
        text=FixedDepthPolicy(depth=1),
        decoder=ConfidencePolicy(threshold=0.3),
    )


def test_space_without_a_decoder_searches_the_encoder(part: InventedPart) -> None:
    space = SearchSpace(4, 4, False, True, decoder_kinds=[NEVER], encoder_kinds=["fixed_depth"])
    trials = make_search(part, space).run()
    assert [trial.exits for trial in trials] == [ExitConfig(image=FixedDepthPolicy(depth=3))]


def test_no_trial_is_in_two_groups() -> None:
    fixed, alike = FixedDepthPolicy(depth=2), SimilarityPolicy(threshold=0.9)
    sure = ConfidencePolicy(threshold=0.5)
    exits = [
        ExitConfig(image=fixed),
        ExitConfig(image=alike),
        ExitConfig(text=fixed),
        ExitConfig(decoder=fixed),
        ExitConfig(image=alike, decoder=sure),
        ExitConfig(image=fixed, decoder=sure),
    ]
    trials = [make_trial(str(number), 0.1, exits=item) for number, item in enumerate(exits)]
    groups = [[trial.setting for trial in group] for group in group_by_kind(trials)]
    assert groups == [["0", "2"], ["1"], ["3"], ["4", "5"]]


def test_falling_thresholds_are_for_answers_of_several_steps() -> None:
    for has_steps in (True, False):
        space = SearchSpace(4, 4, True, has_steps, ["similarity"], [])
        decoders = [path[0].decoder for path in space.paths(ExitSite.DECODER)]
        falls = [isinstance(d, SimilarityPolicy) and d.decay is not None for d in decoders]
        assert falls == ([False, True] if has_steps else [False])
    assert list(SearchSpace(4, 4, False, True).paths(ExitSite.TEXT)) == []


def test_combination_is_the_sum_of_its_sites() -> None:
    full = np.array([1.0, 2.0, 0.2])
    singles = [
        SingleSite(ExitConfig(image=FixedDepthPolicy(depth=1)), np.array([0, -0.5, 0]), 0.1),
        SingleSite(ExitConfig(), np.zeros(3), 0.0),
        SingleSite(ExitConfig(decoder=FixedDepthPolicy(depth=2)), np.array([0.1, 0, -0.5]), 0.25),
    ]
    foretold = foretell(singles, full, [0.8], more_photos=4)
    assert foretold.exits == ExitConfig(
        image=FixedDepthPolicy(depth=1), decoder=FixedDepthPolicy(depth=2)
    )
    assert foretold.cost_saved == pytest.approx(0.35)
    differences = np.array([1.1 - 0.8, 1.5 - 1.6, 0 - 0.16])  # no score falls below 0
    expected = 2 * differences.mean() / differences.std() * np.sqrt(3)
    assert foretold.evidence == pytest.approx([expected])


def test_foretold_evidence_is_near_the_test_of_it() -> None:
    pairs = draw_photos(np.random.default_rng(5), 1000, changed=0.3, kept=1.0)
    targets = (0.99, 0.95)
    foretold = foretold_evidence(pairs.full, pairs.early, targets)
    assert foretold == pytest.approx([pairs.evidence(target) for target in targets], abs=0.25)


def test_cheapest_of_each_sureness_is_taken() -> None:
    depths = range(1, 7)
    items = [
        Foretold(ExitConfig(image=FixedDepthPolicy(depth=depth)), saved, np.array([evidence]))
        for depth, saved, evidence in zip(
            depths, (0.0, 0.3, 0.2, 0.1, 0.4, 0.5), (9.0, 2.6, 2.7, 4.0, 0.1, -0.1), strict=True
        )
    ]
    # saves nothing, cheapest of 2, beaten by it, of 4, of 0, falls short
    assert cheapest_by_sureness(items, 0) == [items[3].exits, items[1].exits, items[4].exits]
