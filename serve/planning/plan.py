"""How many replicas a rate needs, what that costs, and what would give way next."""

import math
from dataclasses import dataclass, replace

from serve.load.arrivals import Mix
from serve.planning.costs import Costs
from serve.planning.simulation import Demand, Shape, Simulated, simulate

MAX_REPLICAS = 10_000
MAX_REFUSED = 0.001
SIMULATED_REQUESTS = 4000
MIN_SECONDS = 10.0
# A queue that is nearly full takes a while to show how long it gets.
MIN_PLANNED_SECONDS = 60.0
IDLE = 0.2  # replicas that work so little keep nobody waiting: more of them do not help
OVERLOAD = 3.0
REDIS_CALLS = 2  # per request: look up, and store


@dataclass(frozen=True)
class Limits:
    """What the parts beside the replicas stand (per second); those of one machine of each."""

    proxy_requests: float = 5000.0
    redis_calls: float = 100_000.0
    network_bytes: float = 125e6


@dataclass(frozen=True)
class Planned:
    """A rate and what it takes.

    Attributes:
        rate: Requests per second.
        num_replicas: The fewest whose p95 is below the bound.
        num_cores: Of all replicas, and of what runs beside them.
        core_hours: Per million requests.
        simulated: What they do.
        shares: Of each limit beside the replicas, how much is used; above 1: more than one of it.
    """

    rate: float
    num_replicas: int
    num_cores: int
    core_hours: float
    simulated: Simulated
    shares: dict[str, float]

    @property
    def bottleneck(self) -> str:
        """Which of the other parts is nearest to its limit."""
        return max(self.shares, key=lambda name: self.shares[name])


@dataclass(frozen=True)
class Goal:
    """What is planned for.

    Attributes:
        mix: Shares of tasks.
        p95_ms: What p95 has to stay below.
        hit_fraction: Share that the cache answers.
        cores_per_replica: Torch threads of one.
    """

    mix: Mix
    p95_ms: float
    hit_fraction: float = 0.0
    cores_per_replica: int = 1


def saturation_rate(costs: Costs, shape: Shape, mix: Mix, num_cores: int | None = None) -> float:
    """Answers per second of replicas that never wait for work; arguments as of ``simulate``."""
    rate = 4.0
    while True:
        seconds = max(MIN_SECONDS, SIMULATED_REQUESTS / 8 / rate)
        found = simulate(costs, shape, Demand(rate, seconds, mix), num_cores)
        if rate > OVERLOAD * found.answered_per_s:
            return found.answered_per_s
        rate *= OVERLOAD


def plan_rate(costs: Costs, shape: Shape, goal: Goal, rate: float, limits: Limits) -> Planned:
    """The fewest replicas for one rate.

    Raises:
        ValueError: Not even ``MAX_REPLICAS`` keep p95 below the bound.
    """
    computed = rate * (1 - goal.hit_fraction)
    single = replace(shape, num_replicas=1)
    num = max(1, int(computed / saturation_rate(costs, single, goal.mix)))
    while num <= MAX_REPLICAS:
        seconds = max(MIN_PLANNED_SECONDS, SIMULATED_REQUESTS / rate)
        demand = Demand(rate, seconds, goal.mix, goal.hit_fraction)
        found = simulate(costs, replace(shape, num_replicas=num), demand)
        if is_enough(found, goal.p95_ms):
            beside = costs.beside_ms / 1e3 * rate
            cores = num * goal.cores_per_replica + math.ceil(beside)
            hours = 1e6 * cores / (3600 * rate)
            return Planned(rate, num, cores, hours, found, _shares(costs, rate, limits))
        if found.utilisation < IDLE:
            break
        num += max(1, num // 50)
    raise ValueError(
        f"p95 below {goal.p95_ms:g} ms cannot be had at {rate:g}/s: more replicas do not help; "
        "allow more, or take a cheaper preset"
    )


def is_enough(found: Simulated, p95_ms: float) -> bool:
    """True when nearly nobody is refused, and p95 is below the bound."""
    latencies = found.latencies
    is_fast = latencies is not None and latencies.p95_ms < p95_ms
    return is_fast and found.refused_fraction <= MAX_REFUSED


def _shares(costs: Costs, rate: float, limits: Limits) -> dict[str, float]:
    return {
        "proxy": rate / limits.proxy_requests,
        "Redis": REDIS_CALLS * rate / limits.redis_calls,
        "network": rate * (costs.request_bytes + costs.answer_bytes) / limits.network_bytes,
    }
