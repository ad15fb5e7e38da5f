"""Average precision, micro-F1 and thresholds by hand."""

import numpy as np
import pytest

from model_core.evaluation.tag_metrics import (
    WordRankings,
    average_precision,
    best_threshold,
    f1_statistics,
    micro_f1,
)

SCORES = np.array([0.9, 0.8, 0.7, 0.6])


def test_average_precision_by_hand() -> None:
    # Hits at ranks 1 and 3: (1/1 + 2/3) / 2.
    hits = np.array([True, False, True, False])
    assert average_precision(SCORES, hits) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(-SCORES, hits) == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_equal_scores_share_a_rank() -> None:
    # All at rank 4, whatever their order.
    for hits in ([True, False, False, False], [False, False, False, True]):
        assert average_precision(np.ones(4), np.array(hits)) == 0.25


def test_map_leaves_out_words_that_no_photo_has() -> None:
    scores = np.stack([SCORES, SCORES, SCORES], axis=1)
    hits = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)
    assert WordRankings(scores, hits).value() == pytest.approx((1 + 1 / 2) / 2)


def test_weights_are_repeated_photos() -> None:
    rng = np.random.default_rng(0)
    scores, hits = rng.random((6, 3)), rng.random((6, 3)) < 0.4
    hits[0] = True
    weights = np.array([2, 1, 0, 1, 2, 0])
    repeated = np.repeat(np.arange(6), weights)
    expected = WordRankings(scores[repeated], hits[repeated]).value()
    assert WordRankings(scores, hits).resampled(weights[None].astype(float))[0] == pytest.approx(
        expected
    )


def test_micro_f1_by_hand() -> None:
    given = np.array([[True, True], [False, True]])
    wanted = np.array([[True, False], [True, True]])
    assert micro_f1(given, wanted) == pytest.approx(2 * 2 / (3 + 3))
    resampled = f1_statistics(given, wanted).resampled(np.array([[2.0, 0.0], [0.0, 2.0]]))
    assert resampled == pytest.approx([2 / 3, 2 / 3])
    nothing = np.zeros((2, 2), dtype=bool)
    assert micro_f1(nothing, nothing) == 0


def test_best_threshold_lies_between_what_is_given_and_what_is_not() -> None:
    # Given .9 and .6 of the words wanted: F1 1 at a threshold between .6 and .2.
    chances = np.array([[0.9, 0.2], [0.6, 0.1]])
    found = best_threshold(chances, np.array([[True, False], [True, False]]))
    assert found.value == pytest.approx(0.4)
    assert found.f1 == 1.0


def test_equal_chances_are_given_together() -> None:
    chances = np.array([[0.5, 0.5, 0.1]])
    found = best_threshold(chances, np.array([[True, False, False]]))
    assert found.value == pytest.approx(0.3)
    assert found.f1 == pytest.approx(2 / 3)


def test_nothing_to_find_is_refused() -> None:
    nothing = np.zeros((2, 1), dtype=bool)
    with pytest.raises(ValueError, match="targets: no photo has any of the words"):
        WordRankings(np.ones((2, 1)), nothing)
    with pytest.raises(ValueError, match="targets: no photo has any of the words"):
        best_threshold(np.ones((2, 1)), nothing)
    with pytest.raises(ValueError, match=r"probabilities \(2, 2\) for targets \(2, 1\)"):
        WordRankings(np.ones((2, 2)), nothing)
