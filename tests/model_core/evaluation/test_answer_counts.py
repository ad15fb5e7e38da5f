"""Counts of answers: by hand, and against the evaluation's own figures."""

from pathlib import Path

import pytest

from model_core.config import ExitConfig
from model_core.evaluation.answer_counts import AnswerCounts, added_up, time_parts
from model_core.evaluation.evaluate import answer_examples, mean_depth, saving
from model_core.evaluation.examples import read_examples
from model_core.policies import ConfidencePolicy, FixedDepthPolicy, SimilarityPolicy
from model_core.predictor import Predictor
from model_core.types import (
    Answer,
    Cost,
    DecoderTrace,
    EncoderTrace,
    ExitTrace,
    ModalityTrace,
    StageMs,
    TokenTrace,
)

TOKENS = tuple(
    TokenTrace("a", depth, (), (), 0, computed_depth) for depth, computed_depth in ((1, 3), (3, 3))
)


def make_answer(from_cache: bool) -> Answer:
    text = ModalityTrace(3, 4, (), (), from_cache)
    return Answer(
        "caption",
        "a",
        (1,),
        {},
        ExitTrace(
            1,
            EncoderTrace(ModalityTrace(2, 4, (), ()), text),
            DecoderTrace(4, TOKENS),
            Cost(4.5, 8.0, 100, 200, StageMs(0, 0, 0, 0)),
        ),
    )


def test_parts_by_hand() -> None:
    exits = ExitConfig(
        image=FixedDepthPolicy(depth=2),
        text=SimilarityPolicy(threshold=0.9),
        decoder=SimilarityPolicy(threshold=0.9),
    )
    assert time_parts(exits, make_answer(from_cache=False)) == {
        "answers": 1,
        "image_layers": 2,
        "text_layers": 3,
        "image_scores": 0,
        "text_scores": 3,
        "steps": 2,
        "late_heads": 2,
        "decoder_layers": 4,
        "caught_up": 2,
        "memory_key_values": 3,
        "similarity_scores": 4,
    }


def test_text_of_the_whole_model_and_heads_that_decide_are_not_counted_twice() -> None:
    exits = ExitConfig(decoder=ConfidencePolicy(threshold=0.5))
    parts = time_parts(exits, make_answer(from_cache=True))
    assert (parts["text_layers"], parts["late_heads"], parts["confidence_scores"]) == (0, 0, 4)


@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_saving_and_depths_are_those_of_the_evaluation(
    predictor: Predictor, data_folder: Path, task: str
) -> None:
    exits = ExitConfig(
        image=FixedDepthPolicy(depth=2), decoder=SimilarityPolicy(threshold=0.5, min_depth=2)
    )
    examples = read_examples(predictor, task, data_folder, "val")
    answers = answer_examples(predictor, task, examples, exits)
    halves = [AnswerCounts.of(exits, answers[:2]), AnswerCounts.of(exits, answers[2:])]
    counts = added_up(halves)
    expected_saving, expected_depth = saving(answers), mean_depth(answers)
    assert counts.saving.layers == pytest.approx(expected_saving.layers)
    assert counts.saving.flops == pytest.approx(expected_saving.flops)
    assert counts.mean_depth.image == expected_depth.image
    assert counts.mean_depth.text == pytest.approx(expected_depth.text)
    assert counts.mean_depth.decoder == pytest.approx(expected_depth.decoder)
