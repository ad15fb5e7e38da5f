"""Which preset a request gets, for pressures and audits made by hand."""

from dataclasses import dataclass, field

import pytest

from model_core.config import ExitConfig
from model_core.policies import FixedDepthPolicy
from serve.errors import InvalidInputError
from serve.policies.book import ChosenPolicy, PolicyBook
from serve.rules import ExitRules
from serve.steering.agreement import Agreement
from serve.steering.audit_ledger import Audited, AuditLedger, AuditLimits
from serve.steering.governor import Governor, GovernorLimits, Pressure
from serve.steering.preset_choice import Steering

# The decoder's depth of each preset here; `quality` is full depth, as where nothing was calibrated.
DEPTHS = {"full": 6, "quality": 6, "balanced": 4, "fast": 2, "mue": 3}


class Book(PolicyBook):
    """Presets that differ in one number."""

    def choose(self, choice: object, task: str) -> ChosenPolicy:
        if isinstance(choice, ExitRules):
            return ChosenPolicy(None, ExitConfig())
        assert isinstance(choice, str)
        exits = ExitConfig(decoder=FixedDepthPolicy(depth=DEPTHS[choice]))
        return ChosenPolicy(choice, exits)


class Pressing(Governor):
    """A governor whose pressure the test sets."""

    level = 0

    @property
    def pressure(self) -> Pressure:
        return Pressure(at_s=0.0, level=self.level)


@dataclass
class Desk:
    """Steering with what it depends on."""

    default_min_quality: str | None = None
    default: str = "balanced"
    moved: list[tuple[str | None, str | None, str | None, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.governor = Pressing(GovernorLimits(), is_on=True)
        self.ledger = AuditLedger(AuditLimits(min_audits=1, window=10))
        self.steering = Steering(
            Book(self.default, 6, 6),
            self.governor,
            self.ledger,
            self.default_min_quality,
            lambda policy, task: self.moved.append(
                (policy.asked, policy.name, policy.reason, task)
            ),
        )

    def get(self, choice: str | None, min_quality: str | None = None, level: int = 0) -> str | None:
        self.governor.level = level
        return self.steering.choose(choice, "caption", min_quality).name

    def distrust(self, *presets: str) -> None:
        for preset in presets:
            for _ in range(10):
                found = Agreement(False, 0.1)
                self.ledger.note(Audited(preset, "caption"), found, has_labels=False)


def test_without_pressure_requests_get_what_they_ask_for() -> None:
    desk = Desk()
    assert desk.get("balanced", "fast") == "balanced"
    assert desk.get(None) == "balanced"
    assert desk.moved == []


@pytest.mark.parametrize(("level", "name"), [(1, "balanced"), (2, "fast"), (3, "fast")])
def test_pressure_moves_within_the_range_and_steps_that_change_nothing_do_not_count(
    level: int, name: str
) -> None:
    desk = Desk()
    assert desk.get("full", "fast", level) == name
    assert desk.moved == [("full", name, "load", "caption")]


def test_pressure_ends_at_the_quality_that_the_request_accepts() -> None:
    desk = Desk()
    assert desk.get("full", "balanced", level=3) == "balanced"
    assert desk.get("balanced", "balanced", level=3) == "balanced"


def test_request_that_allows_no_range_never_moves() -> None:
    desk = Desk(default_min_quality="fast")
    assert desk.get("full", level=3) == "full"
    assert desk.moved == []


def test_default_range_holds_for_requests_without_policy() -> None:
    assert Desk().get(None, level=3) == "balanced"
    assert Desk(default_min_quality="fast").get(None, level=3) == "fast"
    assert Desk(default_min_quality="fast").get(None, "balanced", level=3) == "balanced"


def test_default_cheaper_than_what_is_accepted_gives_what_is_accepted() -> None:
    desk = Desk(default="fast")
    assert desk.get(None, "balanced", level=3) == "balanced"
    assert desk.moved == []


def test_rules_spelled_out_never_move() -> None:
    desk = Desk(default_min_quality="fast")
    desk.governor.level = 3
    assert desk.steering.choose(ExitRules(), "caption").name is None
    with pytest.raises(InvalidInputError, match="rules that are spelled out never change"):
        desk.steering.choose(ExitRules(), "caption", "fast")


def test_contradictions_are_refused() -> None:
    desk = Desk()
    with pytest.raises(InvalidInputError, match="'full' is safer than the policy 'fast'"):
        desk.get("fast", "full")
    with pytest.raises(InvalidInputError, match=r"full, quality, balanced, fast \(.* is 'mue'\)"):
        desk.get("mue", "fast")


def test_default_outside_the_order_takes_no_part() -> None:
    assert Desk(default="mue", default_min_quality="fast").get(None, level=3) == "mue"


def test_answer_kept_from_the_preset_asked_for_is_welcome_under_load() -> None:
    desk = Desk()
    desk.governor.level = 1
    chosen = desk.steering.choose("balanced", "caption", "fast")
    assert chosen.preferred is not None
    assert (chosen.name, chosen.preferred.name) == ("fast", "balanced")


def test_preset_that_audits_found_wanting_gives_way_to_the_next_safer() -> None:
    desk = Desk()
    desk.distrust("fast")
    chosen = desk.steering.choose("fast", "caption")
    assert (chosen.name, chosen.asked, chosen.reason) == ("balanced", "fast", "audit")
    assert chosen.preferred is None
    assert desk.steering.choose("fast", "entailment").name == "fast"


def test_several_untrusted_presets_lead_to_full_depth() -> None:
    desk = Desk()
    desk.distrust("fast", "balanced", "quality", "mue")
    assert desk.get("fast") == "full"
    assert desk.get("mue") == "full"


def test_pressure_does_not_lead_to_an_untrusted_preset() -> None:
    desk = Desk()
    desk.distrust("fast")
    assert desk.get("balanced", "fast", level=3) == "balanced"
    assert desk.moved == []
    assert desk.get("full", "fast", level=3) == "balanced"
    assert desk.moved == [("full", "balanced", "load", "caption")]


def test_reset_gives_the_preset_back() -> None:
    desk = Desk()
    desk.distrust("fast")
    desk.ledger.reset()
    assert desk.get("fast") == "fast"
