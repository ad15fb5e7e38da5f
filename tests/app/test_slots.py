"""The places of the Compare tab."""

from app.controls import OWN
from app.slots import slot_choices
from serve.schemas import PoliciesReport


def test_dropdown_shows_names_alone_because_descriptions_run_under_its_arrow(
    policies: PoliciesReport,
) -> None:
    choices = slot_choices(policies)
    assert ("fast", "fast") in choices
    assert [label for label, name in choices if label != name] == ["(nothing)"]
    assert choices[-1] == (OWN, OWN)
