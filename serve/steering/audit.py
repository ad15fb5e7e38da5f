"""Shadow audits: a share of early answers is computed again at full depth and compared.

An audit is background work of the engine: it runs while nobody waits, and is dropped otherwise.
Nobody's answer waits for it. What it found goes to the ledger (``serve/steering/audit_ledger.py``).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.policies import NeverPolicy
from serve.cache.result_cache import CachedAnswer
from serve.engine import Engine
from serve.errors import EngineError, ServiceError
from serve.policies.book import ChosenPolicy
from serve.questions import DecodedQuestion, Question
from serve.steering.agreement import compare_captions, compare_labels
from serve.steering.audit_ledger import Audited, AuditLedger

logger = logging.getLogger(__name__)

MAX_PENDING = 16

AuditResult = Literal["agreed", "differed", "dropped", "failed"]
ResultListener = Callable[[Audited, AuditResult], None]
Prepare = Callable[[Question, ExitConfig], Awaitable[Any]]


@dataclass(frozen=True)
class AuditSource:
    """Where audits get their answers.

    Attributes:
        engine: Computes them.
        prepare: The engine's request for a question under some exits.
    """

    engine: Engine
    prepare: Prepare


class Auditor:
    """Draws answers to audit, and audits them; belongs to one event loop."""

    def __init__(
        self,
        source: AuditSource,
        ledger: AuditLedger,
        fraction: float,
        on_result: ResultListener,
        draws: random.Random,
    ) -> None:
        """Of early answers the ``fraction`` is audited; ``on_result`` hears how each went."""
        self._source = source
        self._ledger = ledger
        self._fraction = fraction
        self._on_result = on_result
        self._draws = draws
        self._pending: set[asyncio.Task[None]] = set()

    def consider(self, question: Question, policy: ChosenPolicy, answer: CachedAnswer) -> None:
        """May start an audit of an answer that was just computed; returns at once."""
        is_early = policy.name is not None and not is_full_depth(policy.exits)
        if not is_early or not isinstance(question, DecodedQuestion):
            return
        if self._draws.random() >= self._fraction:
            return
        audited = Audited(policy.name or "", question.task)
        if self._source.engine.num_waiting or len(self._pending) >= MAX_PENDING:
            self._on_result(audited, "dropped")
            return
        task = asyncio.create_task(self._audit(audited, question, answer))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def aclose(self) -> None:
        """Gives up what is still going on."""
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)

    async def _audit(self, audited: Audited, question: Question, answer: CachedAnswer) -> None:
        try:
            request = await self._source.prepare(question, ExitConfig())
            full = await asyncio.wrap_future(self._source.engine.submit_background(request))
        except EngineError:
            self._on_result(audited, "failed")
            return
        except (ServiceError, InputError) as error:
            logger.debug("an audit was dropped: %s", type(error).__name__)
            self._on_result(audited, "dropped")
            return
        has_labels = bool(answer.probabilities)
        compare = compare_labels if has_labels else compare_captions
        found = compare(answer.text, full.text)
        self._ledger.note(audited, found, has_labels)
        self._on_result(audited, "agreed" if found.is_same else "differed")


def is_full_depth(exits: ExitConfig) -> bool:
    """True when nothing can leave early."""
    policies = (exits.image, exits.text, exits.decoder)
    return all(isinstance(policy, NeverPolicy) for policy in policies)
