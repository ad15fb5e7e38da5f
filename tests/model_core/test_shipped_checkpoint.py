"""The checkpoint that comes with the project: whole, small enough, described, and any good."""

from pathlib import Path

import pytest

from model_core.checkpoint import default_checkpoint
from model_core.config import CONFIG_ROOT, ExitConfig
from model_core.evaluation.evaluate import answer_examples
from model_core.evaluation.examples import read_examples
from model_core.evaluation.metrics import caption_metrics, label_metrics
from model_core.predictor import Predictor
from tests.tiny import photo

MAX_MIB = 64
HEADS, MAX_HEADS_MIB = ("exit_", "tag_heads"), 5  # small files beside the model, one by one
FLICKR8K = CONFIG_ROOT.parent / "../shared/data/flickr8k"


@pytest.fixture
def flickr8k() -> Path:
    """The real data set, which does not come with the project."""
    if not (FLICKR8K / "captions.jsonl").is_file():
        pytest.skip(f"NOT TESTED: quality of the shipped checkpoint; {FLICKR8K} is not here")
    return FLICKR8K


def test_checkpoint_loads_and_answers_in_words() -> None:
    predictor = Predictor.load(default_checkpoint())
    requests = [predictor.request("caption", photo(seed), ExitConfig()) for seed in range(2)]
    for answer in predictor.answer(requests):
        assert len(answer.text.split()) >= 3
        assert "[" not in answer.text


def test_checkpoint_is_small_enough_to_ship() -> None:
    sizes = {path.name: path.stat().st_size / 2**20 for path in default_checkpoint().iterdir()}
    heads = {name: size for name, size in sizes.items() if name.startswith(HEADS)}
    assert sum(sizes.values()) - sum(heads.values()) <= MAX_MIB
    assert [name for name, size in heads.items() if size > MAX_HEADS_MIB] == []


def test_card_names_data_terms_and_recipe() -> None:
    card = (default_checkpoint() / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("Flickr8k", "non-commercial", "SNLI", "configs/train/flickr8k.yaml"):
        assert words in card


def test_captions_are_about_their_own_photo(flickr8k: Path) -> None:
    predictor = Predictor.load(default_checkpoint(), num_threads=2)
    examples = read_examples(predictor, "caption", flickr8k, "val", limit=120)
    answers = answer_examples(predictor, "caption", examples, ExitConfig())
    captions = [answer.text for answer in answers]
    references = [example.references for example in examples]
    right = caption_metrics(captions, references)["cider"]
    shifted = caption_metrics([*captions[1:], captions[0]], references)["cider"]
    same_for_all = caption_metrics([captions[0]] * len(captions), references)["cider"]
    assert right > 3 * max(shifted, same_for_all)


def test_labels_beat_the_majority(flickr8k: Path) -> None:
    predictor = Predictor.load(default_checkpoint(), num_threads=2)
    examples = read_examples(predictor, "entailment", flickr8k, "val", limit=300)
    answers = answer_examples(predictor, "entailment", examples, ExitConfig())
    expected = [example.references[0] for example in examples]
    names = list(predictor.info.tasks["entailment"].allowed_outputs)
    accuracy = label_metrics([answer.text for answer in answers], expected, names)["accuracy"]
    majority = max(expected.count(name) for name in names) / len(expected)
    assert accuracy > majority + 0.1
