"""The presets of the service in words: what each promises, and the rules it puts in force."""

import re
from collections.abc import Sequence
from html import escape

from pydantic import BaseModel

from serve.rules import ExitRules
from serve.schemas import PoliciesReport, PresetReport

SITE_WORDS = {"image": "photo", "text": "text", "decoder": "each word"}


def first_clause(description: str) -> str:
    """What fits on one line: the description up to its first stop, colon or semicolon."""
    return re.split(r"[.:;](?:\s|$)", description, maxsplit=1)[0]


def presets_of(report: PoliciesReport | None, task: str) -> list[PresetReport]:
    """The presets that the service has for a task; none while it is silent."""
    return [preset for preset in report.presets if task in preset.tasks] if report else []


def presets_html(report: PoliciesReport | None, task: str) -> str:
    """Every preset of a task, folded away: its whole description and its rules."""
    entries = presets_of(report, task)
    if not entries:
        return ""
    rows = "".join(preset_html(preset, preset.tasks[task]) for preset in entries)
    return (
        '<details class="off-about"><summary>What the settings do and promise</summary>'
        f"<dl>{rows}</dl></details>"
    )


def preset_html(preset: PresetReport, rules: ExitRules) -> str:
    """One preset: name, rules in force, description."""
    return (
        f"<dt>{escape(preset.name)}</dt><dd><b>{escape(rules_words(rules))}.</b> "
        f"{escape(preset.description)}</dd>"
    )


def rules_words(rules: ExitRules) -> str:
    """The rules of one setting as a sentence without its stop."""
    sites = [f"{words}: {rule_words(getattr(rules, site))}" for site, words in SITE_WORDS.items()]
    return ", ".join([*sites, *extra_words(rules)])


def extra_words(rules: ExitRules) -> Sequence[str]:
    """What else is unusual about the rules."""
    words = []
    if rules.catch_up != "deferred":
        words.append(f"catch-up: {rules.catch_up}")
    if rules.lookahead:
        words.append(f"full depth checks every {rules.lookahead} words")
    return words


def rule_words(rule: BaseModel) -> str:
    """One rule in a few words."""
    fields = rule.model_dump(exclude_none=True)
    kind = fields["kind"]
    if kind == "never":
        return "every layer"
    if kind == "fixed_depth":
        return f"{fields['depth']} {'layer' if fields['depth'] == 1 else 'layers'}"
    amount = fields.get("threshold", fields.get("patience"))
    return f"{kind.replace('_', ' ')} {amount:g}"
