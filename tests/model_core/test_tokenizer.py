"""Pruning keeps what is needed and renumbers it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_core.tokenizer import WordPieceTokenizer
from tests.tiny import tiny_tokenizer


def test_pruned_tokenizer_writes_the_same_pieces_with_new_numbers() -> None:
    whole = tiny_tokenizer()
    pruned = whole.prune(["a dog runs", "a dog"], words=["yes"], min_count=2)
    small = pruned.tokenizer
    assert small.vocabulary_size < whole.vocabulary_size
    old = [pruned.source_ids[number] for number in small.encode("a dog")]
    assert old == whole.encode("a dog")
    assert small.word_id("yes") < small.vocabulary_size
    assert len(small.encode("runs")) == 4  # seen once only: left to its letters
    assert small.decode(small.encode("a dog runs")) == "a dog runs"


def test_special_pieces_are_not_written_out() -> None:
    tokenizer = tiny_tokenizer()
    ids = [tokenizer.start_id, *tokenizer.encode("A Dog"), tokenizer.end_id]
    assert tokenizer.decode(ids) == "a dog"
    assert tokenizer.piece(tokenizer.end_id) == ""


def test_parts_carry_the_space_before_a_word_and_none_inside_one() -> None:
    tokenizer = tiny_tokenizer()
    ids = [*tokenizer.encode("a zebra , dog"), tokenizer.end_id]
    parts = ("a", " z", "e", "b", "r", "a", ",", " dog", "")
    assert tokenizer.text_parts(ids) == parts
    assert tokenizer.decode(ids) == "a zebra, dog"


@given(st.lists(st.integers(0, tiny_tokenizer().vocabulary_size - 1), max_size=12))
def test_joined_parts_are_the_text_whatever_the_ids(ids: list[int]) -> None:
    tokenizer = tiny_tokenizer()
    assert "".join(tokenizer.text_parts(ids)) == tokenizer.decode(ids)


def test_words_of_several_pieces_are_refused_as_answers() -> None:
    with pytest.raises(ValueError, match="'zebra' must be a single known piece, got 5"):
        tiny_tokenizer().word_id("zebra")


def test_json_round_trip() -> None:
    tokenizer = tiny_tokenizer().prune(["a dog"]).tokenizer
    from tokenizers import Tokenizer

    again = WordPieceTokenizer(Tokenizer.from_str(tokenizer.to_json()))
    assert again.encode("a dog ,") == tokenizer.encode("a dog ,")
