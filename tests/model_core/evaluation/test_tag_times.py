"""Times of tags: what is run beside what, and what the shares are of."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from model_core.evaluation import tag_times
from model_core.evaluation.tag_times import Timed, time_tags
from model_core.policies import ExitPolicy, FixedDepthPolicy, NeverPolicy
from model_core.predictor import Predictor
from model_core.tagging import Tagger

ONE, FULL = FixedDepthPolicy(depth=1), NeverPolicy()


def test_settings_take_turns_and_shares_are_of_full_depth(
    tagging: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[ExitPolicy, int]] = []

    def measured(tagger: Tagger, policy: ExitPolicy, features: Sequence[Tensor]) -> float:
        seen.append((policy, len(features)))
        return 2.0 if policy == ONE else 8.0

    monkeypatch.setattr(tag_times, "_encode_ms", measured)
    found = time_tags({"ours": tagging.tagger}, [Timed("ours", ONE)], [torch.zeros(1)] * 8, 2)
    (times,) = found.values()
    assert times.ms_without_stem.median == 1.0  # per photo
    assert times.wall_without_stem == 0.75
    assert {size for _, size in seen} == {2}
    # A warm-up, then pairs that begin with another one each time.
    assert [policy for policy, _ in seen] == [FULL, *[FULL, ONE, ONE, FULL] * 2]


def test_real_times_are_of_the_encoder(tagging: Predictor) -> None:
    features = [torch.rand(4, 12, dtype=torch.float64) for _ in range(4)]
    found = time_tags({"ours": tagging.tagger}, [Timed("ours", FULL)], features, 1)
    assert found[Timed("ours", FULL)].wall_without_stem == 0
    assert found[Timed("ours", FULL)].ms_without_stem.median > 0


@pytest.mark.parametrize(("size", "message"), [(3, "2 photos are too few"), (65, "not be above")])
def test_sizes_that_cannot_be_measured_are_refused(
    tagging: Predictor, size: int, message: str
) -> None:
    features = [torch.zeros(1)] * (2 if size == 3 else 65)
    with pytest.raises(ValueError, match=message):
        time_tags({"ours": tagging.tagger}, [], features, size)
