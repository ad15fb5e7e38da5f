"""Trust in presets, lost by audits and given back by the operator."""

import logging

import pytest

from serve.steering.agreement import Agreement
from serve.steering.audit_ledger import Audited, AuditLedger, AuditLimits

FAST = Audited("fast", "caption")
SAME = Agreement(True, 1.0)
UNLIKE = Agreement(False, 0.1)


def make_ledger(window: int = 100, min_audits: int = 10) -> AuditLedger:
    return AuditLedger(AuditLimits(0.7, 0.8, window, min_audits))


def test_what_was_never_audited_is_trusted() -> None:
    ledger = make_ledger()
    assert ledger.is_trusted("fast", "caption")
    assert (ledger.warnings(), ledger.estimates()) == ([], {})


def test_estimate_is_of_the_last_audits() -> None:
    ledger = make_ledger(window=4)
    for found in (UNLIKE, UNLIKE, UNLIKE, SAME, SAME, UNLIKE):
        ledger.note(FAST, found, has_labels=False)
    estimate = ledger.estimates()[FAST]
    assert estimate[:3] == (4, 0.5, 0.55)


def test_preset_below_the_floor_loses_trust_once_there_are_audits_enough(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger = make_ledger()
    trusted = []
    for _ in range(10):
        ledger.note(FAST, UNLIKE, has_labels=False)
        trusted.append(ledger.is_trusted("fast", "caption"))
    assert trusted == [True] * 9 + [False]
    (warning,) = ledger.warnings()
    assert "preset fast is not used for caption" in warning
    assert "quality 0.10, at most 0.23, floor 0.7, 10 audits" in warning
    assert "get balanced or safer" in warning
    assert caplog.record_tuples == [("serve.steering.audit_ledger", logging.WARNING, warning)]


def test_chance_does_not_cost_trust() -> None:
    # Half of ten labels is below the floor of 0.8, but the upper bound is not.
    ledger = make_ledger()
    for _ in range(5):
        ledger.note(FAST, Agreement(False, 0.0), has_labels=True)
        ledger.note(FAST, SAME, has_labels=True)
    estimate = ledger.estimates()[FAST]
    assert estimate.quality == 0.5
    assert estimate.quality_high > 0.8
    assert ledger.is_trusted("fast", "caption")


def test_trust_is_lost_for_one_task_and_one_preset() -> None:
    ledger = make_ledger()
    for _ in range(10):
        ledger.note(FAST, UNLIKE, has_labels=False)
    assert ledger.is_trusted("fast", "entailment")
    assert ledger.is_trusted("balanced", "caption")


def test_trust_does_not_come_back_by_itself_but_by_a_reset() -> None:
    ledger = make_ledger()
    for found in [UNLIKE] * 10 + [SAME] * 100:
        ledger.note(FAST, found, has_labels=False)
    assert not ledger.is_trusted("fast", "caption")
    ledger.reset()
    assert ledger.is_trusted("fast", "caption")
    assert (ledger.warnings(), ledger.estimates()) == ([], {})


def test_labels_have_a_floor_of_their_own() -> None:
    ledger = make_ledger()
    for likeness in (0.7, 0.8) * 50:  # at most 0.79: between the floors of captions and labels
        found = Agreement(False, likeness)
        ledger.note(FAST, found, has_labels=False)
        ledger.note(Audited("fast", "entailment"), found, has_labels=True)
    assert ledger.is_trusted("fast", "caption")
    assert not ledger.is_trusted("fast", "entailment")
