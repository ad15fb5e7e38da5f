"""Requests: what is prepared, and what is refused with which sentence."""

import pytest
from PIL import Image

from model_core.config import ExitConfig
from model_core.errors import ConfigError, InputError
from model_core.policies import FixedDepthPolicy
from model_core.predictor import Predictor


def test_entailment_text_is_premise_then_hypothesis(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    request = predictor.request(
        "entailment", photos[0], ExitConfig(), hypothesis="a dog", premise="two people"
    )
    pieces = [predictor.tokenizer._tokenizer.id_to_token(number) for number in request.text_ids]
    assert pieces == ["[CLS]", "two", "people", "[SEP]", "a", "dog", "[SEP]"]


def test_answer_of_a_task_with_allowed_outputs_is_one_of_its_labels(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    request = predictor.request("entailment", photos[0], ExitConfig(), hypothesis="a dog")
    (answer,) = predictor.answer([request])
    assert list(answer.probabilities) == ["entailment", "neutral", "contradiction"]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    assert answer.text == max(answer.probabilities, key=lambda name: answer.probabilities[name])
    assert len(answer.trace.decoder.tokens) == 1


def test_answer_counts_what_the_decoder_could_read(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    request = predictor.request("entailment", photos[0], ExitConfig(), hypothesis="a dog")
    (answer,) = predictor.answer([request])
    num_image_tokens = (predictor.model.config.stem.image_size // 32) ** 2
    assert answer.num_memory_tokens == num_image_tokens + 4  # [CLS] a dog [SEP]


def test_layers_follow_mues_formula(predictor: Predictor, photos: list[Image.Image]) -> None:
    exits = ExitConfig(
        image=FixedDepthPolicy(depth=1),
        text=FixedDepthPolicy(depth=3),
        decoder=FixedDepthPolicy(depth=2),
    )
    request = predictor.request("entailment", photos[0], exits, hypothesis="a dog")
    cost = predictor.answer([request])[0].trace.cost
    assert (cost.layers_run, cost.layers_full) == ((1 + 3) / 2 + 2, 8)


def test_constant_instruction_is_never_charged(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    (caption,) = predictor.answer([predictor.request("caption", photos[0], ExitConfig())])
    assert caption.trace.encoder.text.from_cache
    assert caption.trace.cost.flops == caption.trace.cost.flops_full


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("poem", {}, "task: 'poem' is unknown; this model has caption, entailment"),
        ("entailment", {}, "hypothesis: is empty"),
        ("entailment", {"hypothesis": "  \n"}, "hypothesis: is empty"),
        (
            "entailment",
            {"hypothesis": "a " * 40},
            "hypothesis: 40 word pieces; at most 22 are allowed",
        ),
        ("entailment", {"hypothesis": "a", "premise": "a " * 30}, "premise: 30 word pieces"),
        ("caption", {"hypothesis": "a"}, "takes no text"),
        ("caption", {"max_new_tokens": 11}, "max_new_tokens: 11 must be between 1 and 10"),
        ("caption", {"max_new_tokens": 0}, "max_new_tokens: 0 must be"),
    ],
)
def test_wrong_request_is_refused(
    predictor: Predictor,
    photos: list[Image.Image],
    task: str,
    arguments: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        predictor.request(task, photos[0], ExitConfig(), **arguments)  # type: ignore[arg-type]


def test_fixed_depth_beyond_the_model_is_refused(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    exits = ExitConfig(image=FixedDepthPolicy(depth=5))
    with pytest.raises(InputError, match=r"image\.depth: 5 exceeds the model's 4 layers"):
        predictor.request("caption", photos[0], exits)


def test_preset_of_a_deeper_model_runs_every_layer(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    deep = FixedDepthPolicy(depth=5)
    exits = ExitConfig(image=deep, decoder=deep).within(predictor.info.depths)
    answer, full = predictor.answer(
        [predictor.request("caption", photos[0], policies) for policies in (exits, ExitConfig())]
    )
    assert answer.token_ids == full.token_ids
    assert answer.trace.encoder.image.depth == 4
    assert {token.depth for token in answer.trace.decoder.tokens} == {4}


def test_slots_refuse_what_they_cannot_do(predictor: Predictor, photos: list[Image.Image]) -> None:
    slots = predictor.new_slots(1)
    request = predictor.request("caption", photos[0], ExitConfig())
    with pytest.raises(ValueError, match="2 requests for 1 free slots"):
        slots.admit([request, request])
    slots.admit([request])
    with pytest.raises(ValueError, match="slot 0 is not finished"):
        slots.result(0)
    slots.release(0)
    with pytest.raises(ValueError, match="slot 0 is empty"):
        slots.release(0)
    assert slots.step() == []


def test_unknown_device_is_refused(tiny_checkpoint: object) -> None:
    with pytest.raises(ConfigError, match="device: 'abacus' is not available"):
        Predictor.load(tiny_checkpoint, device="abacus")  # type: ignore[arg-type]
