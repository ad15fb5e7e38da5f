"""The checkpoint that comes with the project: whole, small enough, described."""

from model_core.checkpoint import default_checkpoint
from model_core.config import ExitConfig
from model_core.predictor import Predictor
from tests.tiny import photo

MAX_MIB = 64


def test_checkpoint_loads_and_answers_in_words() -> None:
    predictor = Predictor.load(default_checkpoint())
    requests = [predictor.request("caption", photo(seed), ExitConfig()) for seed in range(2)]
    for answer in predictor.answer(requests):
        assert len(answer.text.split()) >= 3
        assert "[" not in answer.text


def test_checkpoint_is_small_enough_to_ship() -> None:
    size = sum(path.stat().st_size for path in default_checkpoint().iterdir())
    assert size <= MAX_MIB * 2**20


def test_card_names_data_terms_and_recipe() -> None:
    card = (default_checkpoint() / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("Flickr8k", "non-commercial", "SNLI", "configs/train/flickr8k.yaml"):
        assert words in card
