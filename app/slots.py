"""The four places of a comparison: each holds a setting, or nothing.

Values travel as the plain values of a place's controls, place after place. A plan can be read from
them, and they can be filled from a plan; only what the controls can show comes in that way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.controls import (
    BEAMS,
    LAYER_COUNTS,
    NO_VALUE_KIND,
    OWN,
    SITES,
    Choices,
    build_beams,
    build_own_controls,
    offered,
    own_rules,
    value_slider,
)
from app.errors import InputError
from app.followers import Follower
from app.setting import FULL_DEPTH, Plan, Setting
from serve.rules import ExitRules
from serve.schemas import PoliciesReport

NOTHING = "nothing"
NUM_SLOTS = 4
TASK = "caption"  # whose presets are offered: every preset is for all tasks of a comparison


@dataclass(frozen=True)
class Slot:
    """One place: preset, beams, own rules, and the fold around these."""

    preset: gr.Dropdown
    beams: gr.Slider
    own: list[gr.components.Component]
    fold: gr.Accordion

    @property
    def inputs(self) -> list[gr.components.Component]:
        """Inputs of a callback, in order."""
        return [self.preset, self.beams, *self.own]


def build_slots(report: PoliciesReport | None) -> list[Slot]:
    """Lay the places out; the first holds full depth, the second the service's default."""
    values = [*first_settings(report), *[NOTHING] * NUM_SLOTS][:NUM_SLOTS]
    with gr.Row(elem_classes="off-slots"):
        return [build_slot(report, index, value) for index, value in enumerate(values)]


def build_slot(report: PoliciesReport | None, index: int, value: str) -> Slot:
    """One place."""
    name = "Reference" if index == 0 else f"Setting {index + 1}"
    with gr.Column(min_width=280):
        preset = gr.Dropdown(
            slot_choices(report), value=value, label=name, elem_id=f"compare-setting-{index + 1}"
        )
        with gr.Accordion("Expert", open=False) as fold:
            beams = build_beams()
            gr.Markdown(f"The rules below hold when the setting is *{OWN}*.")
            own = build_own_controls(report, TASK)
    preset.input(open_for_own, preset, fold, api_visibility="private", show_progress="hidden")
    return Slot(preset, beams, own, fold)


def open_for_own(preset: str | None) -> Any:
    """The fold opens when own thresholds are chosen, and is left alone otherwise."""
    return gr.update(open=True) if preset == OWN else gr.skip()


def slot_choices(report: PoliciesReport | None) -> Choices:
    """Presets by their names, which is what fits; own thresholds; or nothing."""
    names = [name for _, name in offered(report, TASK).choices]
    return [("(nothing)", NOTHING), *[(name, name) for name in names]]


def first_settings(report: PoliciesReport | None) -> list[str]:
    """Full depth and the service's default; else what else there is."""
    presets = offered(report, TASK)
    names = [name for _, name in presets.choices if name != OWN]
    wanted = dict.fromkeys([FULL_DEPTH, presets.default, *names])
    return [name for name in wanted if name in names][:2]


def slots_follower(slots: Sequence[Slot]) -> Follower:
    """How the places follow the service."""
    presets: list[gr.components.Component] = [slot.preset for slot in slots]
    return Follower(presets, presets, follow_presets)


def follow_presets(report: PoliciesReport, chosen: Sequence[Any]) -> list[Any]:
    """New choices; what is chosen stays where it is offered, and an empty page gets the first."""
    choices = slot_choices(report)
    names = [name for _, name in choices]
    kept = [name if name in names else NOTHING for name in chosen]
    if set(kept) == {NOTHING}:
        kept = [*first_settings(report), *[NOTHING] * NUM_SLOTS][:NUM_SLOTS]
    return [gr.update(choices=choices, value=value) for value in kept]


def read_settings(values: Sequence[Any], has_beams: bool) -> list[Setting]:
    """The settings in the places, given the values of all their controls.

    Args:
        values: Place after place.
        has_beams: False for a task that has none; the sliders then count for nothing.

    Raises:
        InputError: Own rules are not valid.
    """
    width = len(values) // NUM_SLOTS
    settings = []
    for index in range(NUM_SLOTS):
        preset, beams, *own = values[index * width : (index + 1) * width]
        if preset and preset != NOTHING:
            policy = own_rules(own) if preset == OWN else preset
            settings.append(Setting(policy=policy, num_beams=int(beams) if has_beams else 1))
    return settings


def fill_slots(plan: Plan) -> list[Any]:
    """Values of all controls of all places that make the plan.

    Raises:
        InputError: The plan has rules that the controls cannot show.
    """
    settings: list[Setting | None] = [*plan.settings, *[None] * NUM_SLOTS]
    return [value for setting in settings[:NUM_SLOTS] for value in fill_slot(setting)]


def fill_slot(setting: Setting | None) -> list[Any]:
    """Values of one place."""
    if setting is None:
        return [NOTHING, BEAMS["default"], *[gr.skip()] * (2 * len(SITES) + 2)]
    if isinstance(setting.policy, str):
        return [setting.policy, setting.num_beams, *[gr.skip()] * (2 * len(SITES) + 2)]
    kinds_and_amounts = own_values(setting.policy)
    updates: list[Any] = []
    for index, site in enumerate(SITES):
        kind, amount = kinds_and_amounts[2 * index : 2 * index + 2]
        updates += [kind, gr.update(**{**value_slider(site, kind), "value": amount})]
    return [OWN, setting.num_beams, *updates, *kinds_and_amounts[2 * len(SITES) :]]


def own_values(rules: ExitRules) -> list[Any]:
    """Values of the own-rule controls that make these rules.

    Raises:
        InputError: No values make exactly these.
    """
    values: list[Any] = []
    for site in SITES:
        rule = getattr(rules, site)
        amount = getattr(rule, LAYER_COUNTS.get(rule.kind, "threshold"), 0.0)
        values += [rule.kind, amount if rule.kind != NO_VALUE_KIND else 0.0]
    values += [rules.catch_up, rules.lookahead or 0]
    if own_rules(values) != rules:
        raise InputError(
            "This link has rules that the controls of this page cannot show "
            "(a falling threshold or a smallest depth); send them to the service as JSON instead."
        )
    return values
