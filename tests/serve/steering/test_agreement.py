"""How answers are compared with full depth's, by hand."""

import math

import pytest

from serve.steering.agreement import Agreement, compare_captions, compare_labels, upper_bound


def test_labels_are_the_same_or_not() -> None:
    assert compare_labels("entailment", "entailment") == Agreement(True, 1.0)
    assert compare_labels("entailment", "neutral") == Agreement(False, 0.0)


def test_captions_differ_by_the_words_they_do_not_share() -> None:
    found = compare_captions("a dog runs on grass", "a dog plays on the grass")
    # Shared: a, dog, on, grass; five words and six.
    assert found == Agreement(False, 8 / 11)


def test_a_word_counts_as_often_as_it_occurs() -> None:
    assert compare_captions("a dog and a dog", "a dog").likeness == pytest.approx(2 * 2 / 7)


def test_case_and_punctuation_make_no_difference() -> None:
    assert compare_captions("A dog runs .", "a dog runs") == Agreement(True, 1.0)


def test_empty_captions_agree_only_with_each_other() -> None:
    assert compare_captions("", "") == Agreement(True, 1.0)
    assert compare_captions("", "a dog") == Agreement(False, 0.0)


def test_bound_of_yes_or_no_values_is_wilsons() -> None:
    # 30 of 100 at three deviations: (0.345 + 3 * sqrt(0.0021 + 0.000225)) / 1.09
    expected = (0.345 + 3 * math.sqrt(0.0021 + 0.000225)) / 1.09
    assert upper_bound([1.0] * 30 + [0.0] * 70) == pytest.approx(expected)


def test_bound_is_nearer_where_values_vary_less() -> None:
    assert 0.3 < upper_bound([0.25, 0.35] * 50) < upper_bound([1.0] * 30 + [0.0] * 70)


def test_bound_comes_nearer_with_more_values() -> None:
    assert 0.5 < upper_bound([1.0, 0.0] * 200) < upper_bound([1.0, 0.0] * 20) < 1.0


def test_bound_of_what_always_or_never_agrees() -> None:
    assert upper_bound([1.0] * 10) == 1.0
    assert upper_bound([0.0] * 91) == pytest.approx(0.09)  # 9 / (91 + 9)


def test_bound_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        upper_bound([])
