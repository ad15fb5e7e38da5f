"""A sweep as HTML: how far it is, its points as a table, and the answers under one setting.

Pure; all text that came from outside is escaped here. A setting's name is a button, by which a
keyboard reaches what a press on the plot shows.
"""

from collections import Counter
from difflib import SequenceMatcher
from html import escape
from urllib.parse import quote

from app.exploration.examples import Example
from app.exploration.outcomes import Findings, Outcome, Place
from app.exploration.points import COSTS, FULL, QUALITIES, Axis, Point, offered_qualities
from app.exploration.sweep import Step
from app.links import file_link_html
from app.policy_file import policy_yaml

FEW_PHOTOS = 100
MAX_REFUSALS_SHOWN = 5


def progress_html(step: Step, state: str) -> str:
    """How far the sweep is, what was refused, and what the points stand on."""
    findings = step.findings
    waiting = f" The service is busy: {step.num_waiting} wait." if step.num_waiting else ""
    return (
        f'<section class="off-progress" aria-label="Progress"><p role="status"><b>{escape(state)}'
        f"</b> {findings.num_asked} of {findings.num_places} answers, "
        f"{len(findings.settings)} settings on {counted(len(findings.examples), 'example')}, "
        f"{step.seconds:.0f} s.{waiting}</p>"
        f'<progress aria-label="Answers" value="{findings.num_asked}" '
        f'max="{findings.num_places}"></progress>{notes_html(findings)}{refusals_html(findings)}'
        "</section>"
    )


def counted(number: int, noun: str) -> str:
    """``number`` things."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def notes_html(findings: Findings) -> str:
    """What to keep in mind when reading the points."""
    notes = [
        f"Points compare {counted(len(findings.common_examples), 'example')}, those that every "
        "setting has answered so far."
    ]
    if "CIDEr" in offered_qualities(findings):
        notes.append(
            "CIDEr weighs a word by how few photos have it in their references; below about "
            f"{FEW_PHOTOS} photos those weights are rough, and on one photo it is 0."
        )
    cached = sum(outcome.is_cached for outcome in findings.outcomes.values())
    if cached:
        notes.append(
            f"{counted(cached, 'answer')} came from the result cache, with the times of then."
        )
    return "".join(f'<p class="off-hint">{note}</p>' for note in notes)


def refusals_html(findings: Findings) -> str:
    """What the service refused, each sentence once."""
    counts = Counter(refusal.message for refusal in findings.refusals.values())
    ids = {refusal.message: refusal.request_id for refusal in findings.refusals.values()}
    items = [
        f'<div class="off-error" role="alert"><p>{count} refused: {escape(message)}</p>'
        f"<small>request {escape(ids[message] or '')}</small></div>"
        for message, count in counts.most_common(MAX_REFUSALS_SHOWN)
    ]
    return "".join(items)


def points_html(findings: Findings, points: list[Point], chosen: int | None) -> str:
    """The points as a table; each setting is a button that shows its answers."""
    if not points:
        return ""
    columns = [
        *(QUALITIES[name] for name in offered_qualities(findings)),
        *COSTS.values(),
    ]
    heads = "".join(f'<th scope="col">{axis.label}</th>' for axis in columns)
    rows = "".join(point_row_html(point, columns, point.number == chosen) for point in points)
    return (
        '<section class="off-picture" aria-label="Settings"><h3>Settings</h3>'
        '<p class="off-hint">Press a setting, here or in the plot, to see its answers.</p>'
        '<div class="off-scroll" role="region" aria-label="Settings and what they give" '
        f'tabindex="0"><table class="off-table"><thead><tr><th scope="col">setting</th>{heads}'
        '<th scope="col">mean depth image / text / words</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def point_row_html(point: Point, columns: list[Axis], is_chosen: bool) -> str:
    """One setting."""
    cells = "".join(f"<td>{axis.words(point)}</td>" for axis in columns)
    depths = f"{point.image_depth:.1f} / {point.text_depth:.1f} / {point.word_depth:.1f}"
    mark = ' aria-current="true"' if is_chosen else ""
    return (
        f'<tr{mark}><th scope="row"><button type="button" data-number="{point.number}">'
        f"{escape(point.setting)}</button></th>{cells}<td>{depths}</td></tr>"
    )


def answers_html(findings: Findings, number: int) -> str:
    """All answers of one setting beside those of full depth."""
    name = findings.settings[number].name
    rows = "".join(
        answer_row_html(findings, number, index, example)
        for index, example in enumerate(findings.examples)
    )
    return (
        f'<section class="off-picture" aria-label="Answers"><h3>Answers: {escape(name)}</h3>'
        '<div class="off-scroll off-tall" role="region" aria-label="Answers beside full depth" '
        'tabindex="0">'
        '<table class="off-table off-answers"><thead><tr><th scope="col">example</th>'
        '<th scope="col">full depth</th><th scope="col">this setting</th>'
        f'<th scope="col">layers run</th></tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def answer_row_html(findings: Findings, number: int, index: int, example: Example) -> str:
    """One example: photo, full depth's answer, this one's with its changes marked."""
    full = findings.outcomes.get(Place(FULL, index))
    here = findings.outcomes.get(Place(number, index))
    layers = f"{here.layers_run:.1f} of {here.layers_full:g}" if here else ""
    return (
        f'<tr><th scope="row">{example_html(example)}</th><td>{text_of(full)}</td>'
        f"<td>{changes_html(full, here)}</td><td>{layers}</td></tr>"
    )


def example_html(example: Example) -> str:
    """Photo, its name, and the sentence that was judged."""
    source = f"gradio_api/file={quote(example.path)}"
    asked = f"<span>{escape(example.hypothesis)}</span>" if example.hypothesis else ""
    wanted = (
        f'<span class="off-hint">label: {escape(example.label)}</span>' if example.label else ""
    )
    return (
        f'<span class="off-example"><img src="{escape(source, quote=True)}" alt="" loading="lazy">'
        f"<span>{escape(example.name)}</span>{asked}{wanted}</span>"
    )


def text_of(outcome: Outcome | None) -> str:
    """The answer, or a dash."""
    return escape(outcome.text) if outcome else "–"


def changes_html(full: Outcome | None, here: Outcome | None) -> str:
    """The answer with the words that full depth does not have marked, and a verdict in words."""
    if here is None or full is None:
        return text_of(here)
    if here.text == full.text:
        return f'{escape(here.text)} <span class="off-verdict">= same</span>'
    before, after = full.text.split(), here.text.split()
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    pieces = [
        marked_html(" ".join(after[start:stop]), tag != "equal")
        for tag, _, _, start, stop in changes
        if stop > start
    ]
    return f'{" ".join(pieces)} <span class="off-verdict">≠ differs</span>'


def marked_html(words: str, is_changed: bool) -> str:
    """Words, marked where they differ."""
    text = escape(words)
    return f'<mark class="off-mark">{text}</mark>' if is_changed else text


def policy_html(findings: Findings, number: int, point: Point | None) -> str:
    """The setting as a preset file, to read and to save."""
    text = policy_yaml(findings.task, findings.settings[number].rules, described(findings, point))
    link = file_link_html(
        "Save this setting as YAML", "offramp-policy.yaml", "application/yaml", text.encode()
    )
    return (
        '<section class="off-picture" aria-label="Policy"><h3>This setting as a policy</h3>'
        f'<div class="off-scroll" role="region" aria-label="YAML" tabindex="0">'
        f'<pre class="off-yaml">{escape(text)}</pre></div>{link}</section>'
    )


def described(findings: Findings, point: Point | None) -> str:
    """What a setting was worth on these examples, in a sentence."""
    if point is None:
        return "Chosen on the Explore tab, before any example was through."
    words = [f"{axis.words(point)} {axis.label}" for axis in COSTS.values() if axis.is_share]
    quality = [
        f"{QUALITIES[name].label} {QUALITIES[name].words(point)}"
        for name in offered_qualities(findings)
    ]
    return (
        f"{point.setting}. On {counted(point.num_examples, 'example')} of one visitor "
        f"({findings.task}): {', '.join([*quality, *words])}."
    )
