"""The setting a visitor chooses: a preset of the service, or thresholds of their own.

Preset names come from the service and rule kinds from ``serve.schemas``; none is written here.
Values travel to the callbacks as plain strings and numbers, in ``PolicyControls.inputs``' order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import gradio as gr
from pydantic import ValidationError

from app.client import Client
from app.errors import InputError, ServiceError
from app.followers import Follower
from app.presets import first_clause, presets_html, presets_of
from serve.rules import ExitRules, PolicyChoice
from serve.schemas import CaptionRequest, PoliciesReport

OWN = "own thresholds"
TAGS_TASK = "tags"
SITES = ("image", "text", "decoder")
NO_VALUE_KIND = "never"
# Rules that are set by a number of layers, and the name of that number on the wire.
LAYER_COUNTS = {"fixed_depth": "depth", "patience": "patience"}
MAX_DEPTH_SHOWN = 24
# Where the sliders stand before anybody moves them; the tuned values are the service's presets.
FIRST_THRESHOLD = 0.9
FIRST_LAYER_COUNT = 3
MAX_LOOKAHEAD = 16
BEAMS = CaptionRequest.model_json_schema()["properties"]["num_beams"]

Choices = list[tuple[str, str]]


@dataclass(frozen=True)
class PolicyControls:
    """The components of one setting.

    Attributes:
        preset: Radio of the service's presets and ``OWN``.
        own: Kind and value per site, the catch-up rule, then the lookahead.
        about: What the presets promise, folded away.
        task: Whose presets they are.
    """

    preset: gr.Radio
    own: list[gr.components.Component]
    about: gr.HTML
    task: str

    @property
    def follower(self) -> Follower:
        """How these controls follow the service."""
        return Follower(
            [self.preset], [self.preset, self.about], partial(follow_presets, self.task)
        )

    @property
    def inputs(self) -> list[gr.components.Component]:
        """Inputs of a callback, in order."""
        return [self.preset, *self.own]


@dataclass(frozen=True)
class Presets:
    """What the service offers for one task."""

    choices: Choices
    default: str | None


def offered(report: PoliciesReport | None, task: str) -> Presets:
    """The presets of a task as (label, name) choices, ``OWN`` last."""
    found = presets_of(report, task)
    choices = [(f"{each.name}: {first_clause(each.description)}", each.name) for each in found]
    names = [preset.name for preset in found]
    default = report.default if report and report.default in names else None
    own = (f"{OWN}: chosen below", OWN)
    return Presets([*choices, own], default or (names[0] if names else None))


def follow_presets(task: str, report: PoliciesReport, chosen: Sequence[Any]) -> tuple[Any, str]:
    """New choices for a preset radio, the chosen one kept where it is offered, and the promises."""
    presets = offered(report, task)
    names = [name for _, name in presets.choices]
    value = chosen[0] if chosen[0] in names else presets.default
    return gr.update(choices=presets.choices, value=value), presets_html(report, task)


def fetch_policies(client: Client) -> PoliciesReport | None:
    """The presets of the service; None when it does not answer."""
    try:
        return client.policies()
    except ServiceError:
        return None


def build_controls(report: PoliciesReport | None, task: str) -> PolicyControls:
    """Preset radio and the accordion of own thresholds."""
    presets = offered(report, task)
    preset = gr.Radio(
        presets.choices,
        value=presets.default,
        label="Setting",
        info="How early the model may stop",
        elem_classes="off-presets",
    )
    about = gr.HTML(presets_html(report, task), apply_default_css=False)
    with gr.Accordion("Own thresholds", open=False) as accordion:
        own = build_own_controls(report, task)
    preset.change(open_for_own, preset, accordion, api_visibility="private", show_progress="hidden")
    return PolicyControls(preset, own, about, task)


def build_own_controls(report: PoliciesReport | None, task: str) -> list[gr.components.Component]:
    """Kind and value of each site's rule, the catch-up rule, then the lookahead."""
    controls: list[gr.components.Component] = []
    for site in SITES:
        kinds = offered_kinds(report, site, task)
        with gr.Row():
            kind = gr.Dropdown(kinds, value=kinds[-1], label=f"{site}: rule", min_width=140)
            value = gr.Slider(0, 1, value=FIRST_THRESHOLD, step=0.005, label=f"{site}: threshold")
        kind.input(  # not `change`: values that a link brings in must stay
            partial(value_slider, site),
            kind,
            value,
            api_visibility="private",
            show_progress="hidden",
        )
        controls += [kind, value]
    return [*controls, build_catch_up(), build_lookahead()]


def build_beams() -> gr.Slider:
    """How many sentences a caption's search keeps."""
    return gr.Slider(
        BEAMS["minimum"],
        BEAMS["maximum"],
        value=BEAMS["default"],
        step=1,
        label="beams",
        info="1: the likeliest word at each step. More: a search among so many sentences",
    )


def build_catch_up() -> gr.Radio:
    """What happens to layers that an earlier word skipped."""
    rules = list(get_args(ExitRules.model_fields["catch_up"].annotation))
    return gr.Radio(
        rules,
        value=rules[0],
        label="catch-up rule",
        info="Layers an earlier word skipped, when a later one needs them: computed, or copied",
    )


def build_lookahead() -> gr.Slider:
    """How many words are drafted before full depth checks them; 0 leaves the check out."""
    return gr.Slider(
        0,
        MAX_LOOKAHEAD,
        value=0,
        step=1,
        label="lookahead (words)",
        info="0: words stay as they left. Above: so many are drafted, then full depth checks them; "
        "the answer is that of full depth",
    )


def rule_kinds(site: str, task: str) -> list[str]:
    """Names of the rules a site may have, from the wire format.

    Both sides of the encoder have the same rules, but that tags are read from the image alone.
    """
    is_plain = site == "image" and task != TAGS_TASK
    union = ExitRules.model_fields["text" if is_plain else site].annotation
    return [get_args(rule.model_fields["kind"].annotation)[0] for rule in get_args(union)]


def offered_kinds(report: PoliciesReport | None, site: str, task: str) -> list[str]:
    """The rules of a site that the service's model can follow; all while the service is silent."""
    return [kind for kind in rule_kinds(site, task) if report is None or kind in report.kinds]


def open_for_own(preset: str | None) -> Any:
    """The accordion opens when own thresholds are chosen."""
    return gr.update(open=preset == OWN)


def value_slider(site: str, kind: str) -> Any:
    """The slider a rule needs: a threshold, a number of layers, or none."""
    if kind in LAYER_COUNTS:
        return gr.update(
            visible=True,
            minimum=1,
            maximum=MAX_DEPTH_SHOWN,
            step=1,
            value=FIRST_LAYER_COUNT,
            label=f"{site}: layers",
        )
    return gr.update(
        visible=kind != NO_VALUE_KIND,
        minimum=0,
        maximum=1,
        step=0.005,
        value=FIRST_THRESHOLD,
        label=f"{site}: threshold",
    )


def policy_choice(preset: str | None, own: Sequence[Any]) -> PolicyChoice | None:
    """What a request says: a name, explicit rules, or nothing (the service's default)."""
    return own_rules(own) if preset == OWN else preset


def own_rules(own: Sequence[Any]) -> ExitRules:
    """Rules from the values of the own-threshold controls.

    Raises:
        InputError: A value is outside what the wire format allows.
    """
    catch_up, lookahead = own[2 * len(SITES) :]
    rules: dict[str, Any] = {
        site: rule_fields(own[2 * index], own[2 * index + 1]) for index, site in enumerate(SITES)
    }
    try:
        return ExitRules.model_validate(
            {**rules, "catch_up": catch_up, "lookahead": int(lookahead) or None}
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join(str(part) for part in first["loc"])
        raise InputError(f"The setting for {place} is not possible: {first['msg']}.") from error


def rule_fields(kind: str, value: float) -> dict[str, Any]:
    """The wire fields of one rule."""
    if kind == NO_VALUE_KIND:
        return {"kind": kind}
    if kind in LAYER_COUNTS:
        return {"kind": kind, LAYER_COUNTS[kind]: int(value)}
    return {"kind": kind, "threshold": value}
