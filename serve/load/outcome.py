"""What became of one call: status, latency since it was due, and what its answer says it cost."""

import json
from dataclasses import dataclass
from typing import Any

from serve.load.calls import Call
from serve.load.client import Reply

OK = 200
REFUSED = 429


@dataclass(frozen=True)
class Outcome:
    """One call of a run.

    Attributes:
        task: What it asked for.
        due_s: When it should have been sent, from the start of the run.
        lag_s: How much later it was sent; large when the machine cannot send that fast.
        latency_s: From the time it was due to the end of its answer, retries included.
        status: Of the last attempt; 0: no answer.
        num_attempts: How often it was sent.
        retry_after_s: What the last refusal says.
        cache: State of the result cache; empty without an answer.
        preset: Preset in force; empty without an answer, or where rules were spelled out.
        layers_run: By the trace; None where nothing was computed for this call.
        layers_full: The same at full depth.
    """

    task: str
    due_s: float
    lag_s: float
    latency_s: float
    status: int
    num_attempts: int = 1
    retry_after_s: float | None = None
    cache: str = ""
    preset: str = ""
    layers_run: float | None = None
    layers_full: float | None = None

    @property
    def is_ok(self) -> bool:
        """True with an answer."""
        return self.status == OK

    @property
    def end_s(self) -> float:
        """When its answer was there, from the start of the run."""
        return self.due_s + self.latency_s


def outcome_of(call: Call, reply: Reply, lag_s: float, latency_s: float) -> Outcome:
    """The outcome of a call, with the facts that its answer states.

    Raises:
        ValueError: A body with status 200 is not an answer of the service.
    """
    facts = _facts(reply.body) if reply.status == OK else {}
    return Outcome(
        task=call.task,
        due_s=call.at_s,
        lag_s=lag_s,
        latency_s=latency_s,
        status=reply.status,
        num_attempts=max(1, len(reply.statuses)),
        retry_after_s=reply.retry_after_s,
        **facts,
    )


def _facts(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
        facts = {"cache": answer["cache"], "preset": answer["policy"]["name"] or ""}
        cost = answer["trace"]["cost"]
        if answer["cache"] in ("miss", "off"):
            facts |= {name: cost[name] for name in ("layers_run", "layers_full")}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"this is not an answer of the service: {body[:80]!r}") from error
    return facts
