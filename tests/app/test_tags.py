"""The Tags tab: words with their probabilities, the layers, and why the photo stopped there."""

import httpx

from app.client import Client
from app.exits import score_name
from app.tabs.tags import show_tags, tag_photo, words_html
from serve.rules import ConfidenceRule
from serve.schemas import TagsAnswer
from tests.app.conftest import MakeClient, read


def test_words_of_the_answer_come_first_with_their_bars(client: Client, photo: str) -> None:
    values = tag_photo(client, photo, "balanced")
    assert '<p class="off-headline">cat, sofa</p>' in values.words
    places = [values.words.index(words) for words in ("<b>cat</b> 0.90", "<b>sofa</b> 0.60")]
    places += [values.words.index(words) for words in ("&lt;b&gt; 0.20", "dog 0.10")]
    assert places == sorted(places)
    assert "width:90.0%" in values.words
    assert "from a probability of 0.50 on" in values.words


def test_layers_saving_and_reason_are_shown(client: Client, photo: str) -> None:
    values = tag_photo(client, photo, "balanced")
    assert "3 of 6 layers" in values.layers
    assert "50 % saved" in values.layers
    assert "Left after layer 3 of 6" in values.why
    assert values.plot["visible"] is True and values.plot["value"] is not None


def test_photo_without_any_likely_word_says_so() -> None:
    answer = read("tags", TagsAnswer).model_copy(update={"words": []})
    assert "no word is likely enough" in words_html(answer)
    assert show_tags(answer).plot["visible"] is True


def test_model_without_tag_heads_is_the_services_sentence(
    make_client: MakeClient, photo: str
) -> None:
    error = {"code": "invalid_input", "message": "task tags needs tag heads", "request_id": "req-5"}
    client = make_client(lambda _: httpx.Response(422, json={"error": error}))
    values = tag_photo(client, photo, "balanced")
    assert "task tags needs tag heads" in values.words and "req-5" in values.words
    assert (values.layers, values.why, values.plot["visible"]) == ("", "", False)


def test_missing_photo_is_said(client: Client) -> None:
    assert "There is no photo yet" in tag_photo(client, None, "balanced").words


def test_confidence_at_the_image_has_a_name_of_its_own() -> None:
    rule = ConfidenceRule(kind="confidence", threshold=0.5)
    assert score_name(rule, "image") == "F1 that the head expects of its own tags"
    assert score_name(rule) == "probability of the best word piece"
