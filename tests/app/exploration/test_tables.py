"""A sweep as HTML."""

from dataclasses import replace

from app.exploration.examples import Example
from app.exploration.outcomes import Findings, Place, Refusal
from app.exploration.points import make_points
from app.exploration.sweep import Step
from app.exploration.tables import answers_html, points_html, policy_html, progress_html


def test_progress_counts_answers_and_says_what_the_points_stand_on(findings: Findings) -> None:
    html = progress_html(Step(findings, 3.2, 2, False), "Running:")
    assert "5 of 6 answers, 2 settings on 3 examples, 3 s." in html
    assert "The service is busy: 2 wait." in html
    assert 'value="5" max="6"' in html
    assert "Points compare 2 examples, those that every setting has answered" in html
    assert "on one photo it is 0" in html
    assert "1 answer came from the result cache" in html


def test_equal_refusals_are_said_once_with_their_number(findings: Findings) -> None:
    refusals = {Place(1, number): Refusal("too <deep>", f"req-{number}") for number in (1, 2)}
    html = progress_html(Step(replace(findings, refusals=refusals), 1, 0, True), "Done:")
    assert html.count("2 refused: too &lt;deep&gt;") == 1
    assert "request req-2" in html


def test_table_has_a_button_per_setting_and_marks_the_one_on_show(findings: Findings) -> None:
    html = points_html(findings, make_points(findings), chosen=1)
    assert html.count("data-number=") == 2
    assert '<tr aria-current="true"><th scope="row"><button type="button" data-number="1">' in html
    assert "<td>33.3 %</td>" in html
    assert "6.0 / 6.0 / 2.0" in html


def test_no_points_give_no_table(findings: Findings) -> None:
    assert points_html(findings, [], None) == ""


def test_answers_stand_beside_full_depth_with_changes_marked(findings: Findings) -> None:
    html = answers_html(findings, 1)
    assert "<td>a dog on the grass</td>" in html
    assert 'a dog <mark class="off-mark">in</mark> the <mark class="off-mark">snow</mark>' in html
    assert html.count("= same") == 1 and html.count("≠ differs") == 1
    assert "8.0 of 12" in html
    assert 'src="gradio_api/file=/photos/cat.png"' in html


def test_text_of_a_visitor_is_escaped(findings: Findings) -> None:
    example = Example("/a b.png", "<b>.png", hypothesis="<i>", label="<u>")
    html = answers_html(replace(findings, examples=(example,)), 1)
    assert "&lt;b&gt;.png" in html and "&lt;i&gt;" in html and "label: &lt;u&gt;" in html
    assert "file=/a%20b.png" in html


def test_policy_says_what_it_was_worth(findings: Findings) -> None:
    html = policy_html(findings, 1, make_points(findings)[1])
    assert "decoder: {kind: fixed_depth, depth: 2, min_depth: 1}" in html
    assert "2 examples of one visitor" in html
    assert 'download="offramp-policy.yaml"' in html


def test_policy_without_a_point_says_so(findings: Findings) -> None:
    assert "before any example was through" in policy_html(findings, 1, None)
