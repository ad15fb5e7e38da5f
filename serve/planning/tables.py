"""Costs, simulations, plans and comparisons as tables of Markdown."""

from collections.abc import Sequence

from serve.planning.costs import Costs
from serve.planning.plan import Planned
from serve.planning.simulation import Simulated
from serve.planning.validate import Comparison


def costs_table(costs: Costs) -> str:
    """What a replica's work costs."""
    step = costs.step
    rows = [
        ["decoding step", f"{step.base_ms:.2f} ms"],
        ["and per layer that any row runs", f"{step.layer_ms:.2f} ms"],
        ["and per row", f"{step.row_ms:.3f} ms"],
        ["and per layer of a row", f"{step.row_layer_ms:.3f} ms"],
        ["and per layer that a row visits first", f"{step.new_layer_ms:.3f} ms"],
    ]
    for task, cost in costs.tasks.items():
        rows.append([f"admitting {task}", f"{cost.admit.base_ms:.1f} ms"])
        rows.append([f"and per request of {task}", f"{cost.admit.row_ms:.1f} ms"])
    rows += [
        ["HTTP, Ray and the photo's decoding", f"{costs.way_ms:.1f} ms"],
        ["taken from a busy engine per request", f"{costs.handling_ms:.1f} ms"],
        ["processor time beside a busy engine, per request", f"{costs.beside_ms:.1f} ms"],
        ["an answer from the cache", f"{costs.cached_ms:.1f} ms"],
        ["mean error of the steps' fit", f"{costs.fit_error:.0%}"],
    ]
    return _table(["part", "cost"], rows)


def simulated_table(rate: float, num_replicas: int, found: Simulated) -> str:
    """One simulation."""
    p50, p95 = _percentiles(found)
    cells = [f"{rate:g}", str(num_replicas), f"{found.answered_per_s:.1f}", p50, p95]
    cells += [f"{found.refused_fraction:.1%}", f"{found.utilisation:.0%}"]
    head = ["rate/s", "replicas", "answers/s", "p50 ms", "p95 ms", "refused", "busy"]
    return _table(head, [cells])


def plan_table(plans: Sequence[Planned]) -> str:
    """Replicas and costs of several rates, and what gives way next."""
    rows = []
    for plan in plans:
        p50, p95 = _percentiles(plan.simulated)
        cells = [f"{plan.rate:g}", str(plan.num_replicas), str(plan.num_cores)]
        cells += [f"{plan.core_hours:.1f}", p50, p95, f"{plan.simulated.utilisation:.0%}"]
        share = plan.shares[plan.bottleneck]
        rows.append([*cells, f"{plan.bottleneck} ({share:.0%} of one)"])
    head = ["rate/s", "replicas", "cores", "core hours per million", "p50 ms", "p95 ms", "busy"]
    return _table([*head, "next bottleneck"], rows)


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Measured beside simulated."""
    rows = [
        [
            str(one.num_replicas),
            "" if one.rate is None else f"{one.rate:.1f}",
            one.what,
            f"{one.measured:.1f}",
            f"{one.simulated:.1f}",
            f"{one.error:+.0%}",
        ]
        for one in comparisons
    ]
    head = ["replicas", "rate/s", "what", "measured", "simulated", "error"]
    return _table(head, rows)


def _percentiles(found: Simulated) -> tuple[str, str]:
    if found.latencies is None:
        return "-", "-"
    return f"{found.latencies.p50_ms:.0f}", f"{found.latencies.p95_ms:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
