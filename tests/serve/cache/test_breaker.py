"""A breaker on a clock of the test's own."""

from serve.cache.breaker import FIRST_REST_S, LONGEST_REST_S, BreakerState, CircuitBreaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def failing_trials(breaker: CircuitBreaker, clock: Clock, number: int) -> list[float]:
    """Seconds of rest before each of ``number`` trials that fail."""
    rests = []
    for _ in range(number):
        started = clock.now
        while not breaker.allows():
            clock.now += 0.25
        rests.append(clock.now - started)
        breaker.failed()
    return rests


def test_failure_opens_and_rest_ends_in_one_trial() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    assert breaker.allows()
    breaker.failed()
    assert (breaker.state, breaker.allows()) == (BreakerState.OPEN, False)
    clock.now += FIRST_REST_S
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    assert breaker.state is BreakerState.HALF_OPEN


def test_success_of_the_trial_closes_it_with_a_short_rest_again() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    breaker.failed()
    failing_trials(breaker, clock, 3)
    clock.now += LONGEST_REST_S
    assert breaker.allows()
    breaker.succeeded()
    assert (breaker.state, breaker.allows()) == (BreakerState.CLOSED, True)
    breaker.failed()
    assert failing_trials(breaker, clock, 1) == [FIRST_REST_S]


def test_rests_double_up_to_the_longest() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    breaker.failed()
    assert failing_trials(breaker, clock, 6) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_late_failures_do_not_lengthen_the_rest() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for _ in range(5):
        breaker.failed()
    clock.now += FIRST_REST_S
    assert breaker.allows()


def test_trial_that_reports_nothing_is_followed_by_another() -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    breaker.failed()
    clock.now += FIRST_REST_S
    assert breaker.allows()
    clock.now += FIRST_REST_S
    assert breaker.allows()
