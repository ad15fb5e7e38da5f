"""Points of a sweep, by hand."""

from dataclasses import replace

import pytest

from app.exploration.examples import Example
from app.exploration.outcomes import Findings, Place, outcome_of
from app.exploration.points import COSTS, QUALITIES, make_points, offered_qualities
from serve.schemas import CaptionAnswer, EntailmentAnswer
from tests.app.sweeps import FULL, SHALLOW, outcome


def test_points_compare_the_examples_that_all_settings_answered(findings: Findings) -> None:
    full, shallow = make_points(findings)
    assert (full.num_examples, shallow.num_examples) == (2, 2)
    assert (full.agreement, shallow.agreement) == (1.0, 0.5)
    assert shallow.layers_saved == pytest.approx(4 / 12)
    assert shallow.flops_saved == pytest.approx(4 / 12)
    assert (full.ms, shallow.ms) == (50, 25)
    assert (shallow.image_depth, shallow.word_depth, shallow.num_cached) == (6, 2, 1)


def test_captions_are_scored_where_references_are_known(findings: Findings) -> None:
    full, shallow = make_points(findings)
    assert (full.bleu1, full.num_scored) == (pytest.approx(1.0), 2)
    # Of the ten words, "in" and "snow" are in no reference.
    assert shallow.bleu1 == pytest.approx(8 / 10)
    assert full.cider is not None and shallow.cider is not None and full.cider > shallow.cider
    assert offered_qualities(findings) == ["CIDEr", "BLEU-4", "BLEU-1", "agreement"]


def test_labels_are_scored_where_they_are_known() -> None:
    examples = (
        Example("/a.png", "a.png", hypothesis="A cat.", label="entailment"),
        Example("/a.png", "a.png", hypothesis="A dog.", label="neutral"),
        Example("/a.png", "a.png", hypothesis="A bird."),
    )
    outcomes = {Place(0, index): outcome("entailment", 12, 10) for index in range(3)}
    findings = Findings("entailment", (FULL, SHALLOW), examples, outcomes)
    (full,) = make_points(findings)
    assert (full.accuracy, full.num_scored, full.num_examples) == (0.5, 2, 3)
    assert offered_qualities(findings) == ["accuracy", "agreement"]


def test_without_references_agreement_alone_is_offered(findings: Findings) -> None:
    bare = replace(findings, examples=tuple(replace(e, references=()) for e in findings.examples))
    assert offered_qualities(bare) == ["agreement"]
    assert make_points(bare)[0].cider is None


def test_nothing_answered_gives_no_points(findings: Findings) -> None:
    assert make_points(replace(findings, outcomes={})) == []


def test_axes_speak_in_their_units(findings: Findings) -> None:
    _, shallow = make_points(findings)
    assert COSTS["layers"].words(shallow) == "33.3 %"
    assert COSTS["milliseconds"].words(shallow) == "25"
    assert QUALITIES["accuracy"].words(shallow) == "–"


def test_answer_becomes_an_outcome(
    caption_answer: CaptionAnswer, entailment_answer: EntailmentAnswer
) -> None:
    found, cost = outcome_of(caption_answer), caption_answer.trace.cost
    assert found.text == caption_answer.caption
    assert (found.layers_run, found.flops_full) == (cost.layers_run, cost.flops_full)
    assert outcome_of(entailment_answer).text == entailment_answer.label
