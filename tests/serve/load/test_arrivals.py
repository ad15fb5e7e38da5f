"""Arrivals are Poisson, follow their phases, and tasks follow the mix."""

import numpy as np
import pytest

from serve.load.arrivals import Mix, Phase, poisson_times


class EqualGaps:
    """Stands for a generator: every gap is as long as the mean."""

    def exponential(self, mean: float) -> float:
        return mean


def test_gaps_add_up_within_each_phase() -> None:
    times = poisson_times([Phase(4.0, 1.0), Phase(2.0, 1.0)], EqualGaps())  # type: ignore[arg-type]
    assert times == [0.25, 0.5, 0.75, 1.5]


def test_number_and_gaps_are_those_of_a_poisson_process() -> None:
    times = poisson_times([Phase(50.0, 400.0)], np.random.default_rng(3))
    gaps = np.diff(times)
    # 20,000 expected, standard deviation 141; an exponential's deviation equals its mean.
    assert abs(len(times) - 20_000) < 500
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert times == sorted(times)
    assert times[-1] < 400.0


def test_same_seed_gives_the_same_times() -> None:
    runs = [poisson_times([Phase(5.0, 10.0)], np.random.default_rng(7)) for _ in range(2)]
    assert runs[0] == runs[1] != poisson_times([Phase(5.0, 10.0)], np.random.default_rng(8))


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_phase_without_requests_is_refused(rate: float, seconds: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Phase(rate, seconds)


def test_weights_become_shares() -> None:
    assert Mix.parse("caption=3, tags=1").shares == (("caption", 0.75), ("tags", 0.25))


def test_tasks_are_drawn_by_their_shares() -> None:
    tasks = Mix.parse("caption=0.7,entailment=0.3").draw(10_000, np.random.default_rng(0))
    assert tasks.count("caption") == pytest.approx(7000, abs=150)
    assert tasks.count("entailment") == 10_000 - tasks.count("caption")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dance=1", "'dance' must be one of caption, entailment, tags"),
        ("tags=1,tags=2", "'tags' must be one of"),
        ("caption=0", "'0' must be a number above 0"),
        ("caption=inf", "'inf' must be"),
        ("caption", "'' must be"),
    ],
)
def test_mix_that_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix.parse(text)
