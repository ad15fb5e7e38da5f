"""What an answer depends on, by kind of question, and the request that each becomes."""

from PIL import Image

from model_core.config import ExitConfig
from model_core.policies import ExitSite
from serve.questions import DecodedQuestion, EmbeddingQuestion, Photo, TagsQuestion
from tests.serve.fakes import FakePredictor

PHOTO = Photo(Image.new("RGB", (8, 6)), "digest")
CAPTION = DecodedQuestion("caption", PHOTO, None, None, max_new_tokens=5, num_beams=2)


def test_a_decoded_answer_depends_on_everything() -> None:
    assert (CAPTION.task, CAPTION.pixels, CAPTION.sites) == ("caption", "digest", tuple(ExitSite))
    assert CAPTION.texts == {"hypothesis": None, "premise": None}
    assert CAPTION.decoding == {"num_beams": 2, "max_new_tokens": 5}


def test_a_vector_depends_on_its_own_modality() -> None:
    photo, text = EmbeddingQuestion(PHOTO), EmbeddingQuestion("a dog")
    assert (photo.pixels, photo.texts, photo.sites) == ("digest", {}, (ExitSite.IMAGE,))
    assert (text.pixels, text.texts, text.sites) == (None, {"text": "a dog"}, (ExitSite.TEXT,))
    assert photo.task == text.task == "retrieval"
    assert photo.decoding == text.decoding == {}


def test_tags_depend_on_the_photo() -> None:
    question = TagsQuestion(PHOTO)
    assert (question.task, question.pixels, question.sites) == (
        *("tags", "digest"),
        (ExitSite.IMAGE,),
    )
    assert (question.texts, question.decoding) == ({}, {})


def test_each_becomes_its_own_request() -> None:
    predictor, exits = FakePredictor(), ExitConfig()
    questions = (CAPTION, EmbeddingQuestion(PHOTO), EmbeddingQuestion("a dog"), TagsQuestion(PHOTO))
    requests = [question.prepare(predictor, exits) for question in questions]
    assert [request.name for request in requests] == [
        *("8x6 never 2 beams", "photo", "text", "tags"),
    ]
    assert requests[0].num_steps == 5
