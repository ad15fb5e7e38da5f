"""Which preset a request gets: the one it asks for, a cheaper one under load, or a safer one.

Cheaper only within the range that the request allows, and only where the governor is on; safer
where audits found a preset below its floor. Rules that a request spells out never move.
"""

from collections.abc import Callable
from dataclasses import replace

from serve.errors import InvalidInputError, describe_value
from serve.policies.book import ChosenPolicy, PolicyBook
from serve.policies.preset_order import PRESET_ORDER, next_safer, presets_between
from serve.rules import ExitRules, PolicyChoice
from serve.steering.audit_ledger import AuditLedger
from serve.steering.governor import Governor

MoveListener = Callable[[ChosenPolicy, str], None]


class Steering:
    """Chooses the policy of each request."""

    def __init__(
        self,
        book: PolicyBook,
        governor: Governor,
        ledger: AuditLedger,
        default_min_quality: str | None,
        on_move: MoveListener,
    ) -> None:
        """``on_move`` is told of each policy that differs from what was asked, and of the task."""
        self._book = book
        self._governor = governor
        self._ledger = ledger
        self._default_min_quality = default_min_quality
        self._on_move = on_move

    def choose(
        self, choice: PolicyChoice | None, task: str, min_quality: str | None = None
    ) -> ChosenPolicy:
        """The exits that hold for a request.

        Args:
            choice: What it asks for; None: the service's default.
            task: What is asked of the model.
            min_quality: The cheapest ranked preset that it accepts; None: it does not say.

        Raises:
            InvalidInputError: No such preset, rules that the model cannot follow, or a
                ``min_quality`` that does not go with the policy.
            InputError: A rule of the image that only tags have, for another task.
        """
        if isinstance(choice, ExitRules):
            if min_quality is not None:
                raise InvalidInputError(
                    "min_quality: goes with a preset; rules that are spelled out never change"
                )
            return self._book.choose(choice, task)
        allowed = self._allowed(choice, min_quality)
        asked = self._book.choose(allowed[0], task)
        wanted = self._under_pressure(allowed, asked, task)
        trusted = self._trusted(wanted, task)
        if trusted.name == asked.name:
            return asked
        is_cheaper = trusted.name in allowed
        moved = replace(
            trusted,
            asked=asked.name,
            reason="load" if is_cheaper else "audit",
            preferred=asked if is_cheaper and self._is_trusted(asked, task) else None,
        )
        self._on_move(moved, task)
        return moved

    def _allowed(self, choice: str | None, min_quality: str | None) -> tuple[str, ...]:
        """Presets from the one asked for to the cheapest that is accepted."""
        asked = self._book.default if choice is None else choice
        if asked not in PRESET_ORDER:
            if min_quality is not None:
                raise InvalidInputError(
                    f"min_quality: goes with the policies {', '.join(PRESET_ORDER)} (the policy is "
                    f"{describe_value(asked)})"
                )
            return (asked,)
        if choice is None:
            limit = min_quality or self._default_min_quality or asked
            return presets_between(asked, limit) or (limit,)
        presets = presets_between(asked, min_quality or asked)
        if not presets:
            raise InvalidInputError(
                f"min_quality: {min_quality!r} is safer than the policy {asked!r}; name that "
                "policy or a cheaper one, or ask for a safer policy"
            )
        return presets

    def _under_pressure(
        self, allowed: tuple[str, ...], asked: ChosenPolicy, task: str
    ) -> ChosenPolicy:
        """As many presets further as there is pressure; those that change nothing do not count."""
        steps = [asked]
        for name in allowed[1:]:
            chosen = self._book.choose(name, task)
            if chosen.exits != steps[-1].exits:
                steps.append(chosen)
        return steps[min(self._governor.pressure.level, len(steps) - 1)]

    def _trusted(self, wanted: ChosenPolicy, task: str) -> ChosenPolicy:
        chosen = wanted
        while not self._is_trusted(chosen, task):
            assert chosen.name is not None
            chosen = self._book.choose(next_safer(chosen.name), task)
        return chosen

    def _is_trusted(self, chosen: ChosenPolicy, task: str) -> bool:
        return chosen.name is None or self._ledger.is_trusted(chosen.name, task)
