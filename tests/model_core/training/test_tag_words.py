"""Tags of captions: nouns and adjectives that people agree on, plurals with their singular."""

from model_core.training.tag_words import (
    STOP_WORDS,
    caption_words,
    choose_words,
    is_tag,
    merged_forms,
    photo_tags,
    plural_forms,
)

PHOTOS = [
    ("A black dog runs .", "Two dogs are running", "The dog's ball"),
    ("A dog on grass", "A man in grass", "men and a dog"),
    ("A man runs", "A boy is running", "Grass"),
]


def test_words_are_letters_alone_without_the_possessive() -> None:
    assert caption_words("The dog's T-shirt , red .") == {"the", "dog", "t", "shirt", "red"}


def test_plurals_by_hand() -> None:
    assert plural_forms("dog") == {"dogs"}
    assert plural_forms("dress") == {"dresses"}
    assert plural_forms("puppy") == {"puppies"}
    assert plural_forms("boy") == {"boys"}
    assert plural_forms("woman") == {"women"}
    assert plural_forms("short") == plural_forms("wood") == set()


def test_a_plural_counts_as_its_singular_and_does_is_no_deer() -> None:
    merged = merged_forms(["dog", "dogs", "doe", "glasses"])
    assert merged["dogs"] == merged["dog"] == "dog"
    assert merged["glasses"] == "glasses"
    assert "does" not in merged


def test_the_first_word_has_a_form_of_several() -> None:
    assert merged_forms(["puppy", "puppie"])["puppies"] == "puppy"
    assert merged_forms(["puppie", "puppy"])["puppies"] == "puppie"
    # The more frequent one is the first, whatever the captions' order.
    photos = [("a puppie", "two puppies", "a puppy"), ("the puppy", "puppy", "red puppy")]
    assert choose_words(photos, 3) == choose_words(photos[::-1], 3) == ("puppy",)


def test_verbs_and_function_words_are_no_tags() -> None:
    assert [word for word in ("running", "the", "jump", "two", "up") if is_tag(word)] == []
    assert all(is_tag(word) for word in ("building", "dog", "red", "snowy"))
    assert "dog" not in STOP_WORDS


def test_chosen_words_are_those_that_two_captions_of_most_photos_share() -> None:
    # dog: photos 0 and 1; grass and man: photo 1; no two captions share black, ball or boy.
    assert choose_words(PHOTOS, 10) == ("dog", "grass", "man")
    assert choose_words(PHOTOS, 2) == ("dog", "grass")


def test_photo_has_the_words_of_two_of_its_captions() -> None:
    words = ("dog", "grass", "man", "boy")
    assert photo_tags(PHOTOS[1], words) == [True, True, True, False]
    assert photo_tags(PHOTOS[2], words) == [False, False, False, False]
