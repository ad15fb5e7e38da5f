"""CoCa behind the same runtime: parity, catch-up, costs, exits of the upper half, vectors."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model_core.architectures import build_model
from model_core.checkpoint import save_checkpoint
from model_core.coca import CocaModel
from model_core.config import CONFIG_ROOT, CatchUp, ExitConfig, ModelConfig, load_config
from model_core.decode_step import DecodingStep
from model_core.embedding import embed
from model_core.errors import ConfigError, InputError
from model_core.evaluation.flops import FlopModel
from model_core.policies import (
    POLICIES,
    ConfidencePolicy,
    FixedDepthPolicy,
    ShallowExitPolicy,
    SimilarityPolicy,
)
from model_core.predictor import Predictor
from model_core.request import Request
from model_core.tokenizer import WordPieceTokenizer
from model_core.types import Answer, Modality, ModalityTrace
from tests.oracle import (
    DECODER_POLICIES,
    assert_filled_part_is_exact,
    assert_same_answer,
    catch_up_everything,
    exits_with,
    full_pass,
    open_schedules,
)
from tests.tiny import COCA_OVERRIDES, add_random_heads, randomize

MODEL = CONFIG_ROOT / "model" / "coca.yaml"
NUM_STEPS = 4
# Of four decoder layers two are unimodal: exits stand at depths 3 and 4.
UPPER_POLICIES = {
    name: policy for name, policy in DECODER_POLICIES.items() if not hasattr(policy, "depth")
} | {
    "fixed": FixedDepthPolicy(depth=3),
    "shallow_exit": ShallowExitPolicy(threshold=0.25, depth=3),
}


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return load_config(MODEL, ModelConfig, COCA_OVERRIDES)


@pytest.fixture(scope="module")
def checkpoint(
    config: ModelConfig, tokenizer: WordPieceTokenizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    torch.manual_seed(0)
    model = build_model(config, tokenizer.vocabulary_size)
    randomize(model)
    add_random_heads(model)
    folder = tmp_path_factory.mktemp("coca")
    save_checkpoint(model, tokenizer, folder, torch.float32)
    return folder


@pytest.fixture(scope="module")
def coca(checkpoint: Path) -> Predictor:
    return Predictor.load(checkpoint, dtype="float64")


def model_of(coca: Predictor) -> CocaModel:
    assert isinstance(coca.model, CocaModel)
    return coca.model


def requests_of(
    coca: Predictor, photos: list[Image.Image], exits: ExitConfig, num_beams: int = 1
) -> list[Request]:
    return [coca.request("caption", photo, exits, num_beams=num_beams) for photo in photos]


def memory_of(coca: Predictor, request: Request, depth: int) -> torch.Tensor:
    model = model_of(coca)
    image = model.embed_image(model.image_features(request.pixels[None].double()))
    return model.pool_image(model.encoder.run_layers(image, None, 0, depth))


@torch.inference_mode()
def test_never_fire_equals_the_plain_model(coca: Predictor, photos: list[Image.Image]) -> None:
    model = model_of(coca)
    requests = requests_of(coca, photos, ExitConfig())
    answers = coca.answer(requests)
    assert len({answer.token_ids for answer in answers}) > 1
    for request, answer in zip(requests, answers, strict=True):
        memory = memory_of(coca, request, 4)
        ids = [coca.tokenizer.start_id]
        while len(ids) <= request.max_new_tokens and ids[-1] != coca.tokenizer.end_id:
            hidden = full_pass(coca, torch.tensor([ids]), memory)[-1]
            ids.append(int(model.exit_logits(model.exit_features(4, hidden[-1:])).argmax()))
        assert list(answer.token_ids) == ids[1:]


@pytest.mark.parametrize("catch_up", CatchUp)
@pytest.mark.parametrize("name", UPPER_POLICIES)
def test_batch_equals_rows_alone(
    coca: Predictor, photos: list[Image.Image], name: str, catch_up: CatchUp
) -> None:
    requests = requests_of(coca, photos, exits_with(UPPER_POLICIES[name], catch_up))
    for request, expected in zip(requests, coca.answer(requests, num_slots=4), strict=True):
        assert_same_answer(coca.answer([request])[0], expected)


@torch.inference_mode()
def test_every_early_token_is_what_a_full_pass_says_at_its_depth(
    coca: Predictor, photos: list[Image.Image]
) -> None:
    model = model_of(coca)
    requests = requests_of(coca, photos, exits_with(ConfidencePolicy(threshold=0.3)))
    answers = coca.answer(requests)
    tokens = [token for answer in answers for token in answer.trace.decoder.tokens]
    assert {token.depth for token in tokens} == {3, 4}
    assert any(token.caught_up for token in tokens)
    for request, answer in zip(requests, answers, strict=True):
        memory = memory_of(coca, request, answer.trace.encoder.image.depth)
        fed = [coca.tokenizer.start_id, *answer.token_ids[:-1]]
        states = full_pass(coca, torch.tensor([fed]), memory)
        for step, token in enumerate(answer.trace.decoder.tokens):
            here = states[token.depth][step : step + 1]
            logits = model.exit_logits(model.exit_features(token.depth, here))
            assert answer.token_ids[step] == int(logits.argmax())
            assert token.scores[-1] == pytest.approx(float(logits.softmax(-1).amax()), abs=1e-10)


@torch.inference_mode()
def test_every_exit_schedule_leaves_the_cache_of_a_full_pass(
    coca: Predictor, photos: list[Image.Image]
) -> None:
    schedules = list(itertools.product((3, 4), repeat=NUM_STEPS))
    memory = torch.randn(len(schedules), 3, 8, dtype=torch.float64)
    cache, requests = open_schedules(coca, photos[0], schedules, memory)
    token_ids = torch.randint(5, 30, (len(schedules), NUM_STEPS))
    for step in range(NUM_STEPS):
        decoding = DecodingStep(coca.model, cache, requests)
        decoding.run(token_ids[:, step])
        assert decoding.depths.tolist() == [schedule[step] for schedule in schedules]
        assert (cache.filled[:, :3] == step + 1).all()
    states = full_pass(coca, token_ids, memory)
    rows = np.arange(len(schedules))
    assert_filled_part_is_exact(coca, cache, states, rows)
    catch_up_everything(coca, cache, rows)
    assert (cache.filled == NUM_STEPS).all()
    assert_filled_part_is_exact(coca, cache, states, rows)


@pytest.mark.parametrize("kind", POLICIES)
def test_no_policy_of_the_registry_fires_before_the_first_exit(
    coca: Predictor, photos: list[Image.Image], kind: str
) -> None:
    settings = POLICIES[kind].settings(4, first_exit=3) or [POLICIES[kind].model_validate({})]
    eager = [settings[-1]]  # the cheapest
    if kind == "similarity":
        eager = [SimilarityPolicy(threshold=-1.0)]
    for policy in eager:
        requests = requests_of(coca, photos, ExitConfig(decoder=policy))
        for answer in coca.answer(requests):
            for token in answer.trace.decoder.tokens:
                assert token.depth >= 3
                # Nothing was asked below: a score of 0 against a threshold of 1.
                assert (token.scores[:2], token.thresholds[:2]) == ((0.0, 0.0), (1.0, 1.0))


def test_policies_are_not_asked_below_the_first_exit(
    coca: Predictor, photos: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    features = coca.model.exit_features
    monkeypatch.setattr(
        coca.model,
        "exit_features",
        lambda depth, *rest: seen.append(depth) or features(depth, *rest),
    )
    coca.answer(requests_of(coca, photos[:2], ExitConfig(decoder=ConfidencePolicy(threshold=1.0))))
    assert set(seen) == {3, 4}


@pytest.mark.parametrize("policy", [FixedDepthPolicy(depth=2), ShallowExitPolicy(threshold=0.5)])
def test_fixed_depth_below_the_first_exit_is_refused(
    coca: Predictor, photos: list[Image.Image], policy: FixedDepthPolicy
) -> None:
    with pytest.raises(InputError, match=r"decoder.depth: 2 is below .* allowed are 3 to 4"):
        coca.request("caption", photos[0], ExitConfig(decoder=policy))
    raised = ExitConfig(decoder=policy).within(coca.info.depths)
    assert raised.decoder.model_dump()["depth"] == 3


def test_exit_head_below_the_first_exit_is_refused(coca: Predictor) -> None:
    with pytest.raises(ValueError, match="depth 2 has no exit; the first one is 3"):
        coca.model.exit_features(2, torch.zeros(1, 8))


@pytest.mark.parametrize("lookahead", [2, 4])
def test_lossless_decoding_says_what_full_depth_says(
    coca: Predictor, photos: list[Image.Image], lookahead: int
) -> None:
    exits = ExitConfig(decoder=FixedDepthPolicy(depth=3), lookahead=lookahead)
    drafted = coca.answer(requests_of(coca, photos, exits))
    full = coca.answer(requests_of(coca, photos, ExitConfig()))
    assert [answer.token_ids for answer in drafted] == [answer.token_ids for answer in full]


def test_beams_of_a_batch_equal_beams_alone(coca: Predictor, photos: list[Image.Image]) -> None:
    exits = ExitConfig(decoder=ConfidencePolicy(threshold=0.3))
    requests = requests_of(coca, photos[:3], exits, num_beams=3)
    for request, expected in zip(requests, coca.answer(requests), strict=True):
        assert_same_answer(coca.answer([request])[0], expected)
    one_beam = coca.answer(requests_of(coca, photos[:3], ExitConfig(), num_beams=1))
    three = coca.answer(requests_of(coca, photos[:3], ExitConfig(), num_beams=3))
    assert [a.token_ids for a in one_beam] != [a.token_ids for a in three]


def test_unimodal_layers_have_no_memory(coca: Predictor, photos: list[Image.Image]) -> None:
    slots = coca.new_slots(1)
    slots.admit(requests_of(coca, photos[:1], ExitConfig()))
    slots.step()
    assert slots.cache.num_visited_layers(0) == 2
    names = {name for name, _ in coca.model.decoder.named_parameters()}
    assert "layers.2.cross_out.weight" in names
    assert not any(name.startswith(("layers.0.cross", "layers.1.cross")) for name in names)
    with pytest.raises(ValueError, match="unimodal layer has no keys and values"):
        coca.model.memory_key_value(1, torch.zeros(1, 3, 8))


def test_text_side_ran_nothing(coca: Predictor, photos: list[Image.Image]) -> None:
    exits = ExitConfig(image=FixedDepthPolicy(depth=1), text=FixedDepthPolicy(depth=2))
    (answer,) = coca.answer(requests_of(coca, photos[:1], exits))
    assert answer.trace.encoder.text == ModalityTrace(0, 4, (), ())
    assert answer.trace.encoder.image.depth == 1
    # MuE's count has no text to average with: 1 of 4 encoder layers, 4 of 4 decoder layers.
    assert (answer.trace.cost.layers_run, answer.trace.cost.layers_full) == (5.0, 8.0)
    with pytest.raises(ValueError, match="no text side"):
        coca.model.embed_text(torch.zeros(1, 2, dtype=torch.long))


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize(
    ("exits", "tolerance"),
    [
        (ExitConfig(), 1e-9),
        (ExitConfig(image=FixedDepthPolicy(depth=2), decoder=FixedDepthPolicy(depth=3)), 1e-9),
        (ExitConfig(decoder=FixedDepthPolicy(depth=3), catch_up=CatchUp.COPY_HIDDEN), 1e-9),
        (ExitConfig(decoder=ConfidencePolicy(threshold=1.0)), 1e-9),
        # Caught-up blocks look at masked keys too, which are not counted.
        (ExitConfig(decoder=ConfidencePolicy(threshold=0.3)), 0.03),
    ],
    ids=["full", "fixed", "copy", "asked", "confidence"],
)
def test_operations_agree_with_the_counter(
    coca: Predictor,
    photos: list[Image.Image],
    exits: ExitConfig,
    tolerance: float,
    num_beams: int,
) -> None:
    (request,) = requests_of(coca, photos[1:2], exits, num_beams)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        (answer,) = coca.answer([request])
    stem = FlopModel(coca.model.config, coca.tokenizer.vocabulary_size).stem()
    counted = counter.get_total_flops() - stem
    assert answer.trace.cost.flops - stem == pytest.approx(counted, rel=tolerance)


def test_full_depth_costs_what_full_depth_would_cost(
    coca: Predictor, photos: list[Image.Image]
) -> None:
    full, early = (
        coca.answer(requests_of(coca, photos[:1], ExitConfig(decoder=policy)))[0].trace.cost
        for policy in (DECODER_POLICIES["never"], FixedDepthPolicy(depth=3))
    )
    assert full.flops == full.flops_full
    assert early.flops < early.flops_full


# ---- sentences


def padded(*rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """``(R, T)`` ids of rows that end with some end mark, and their mask."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    return ids, torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])


@torch.inference_mode()
def test_class_token_sees_every_word_and_is_seen_by_none(coca: Predictor) -> None:
    model = model_of(coca)
    sentence = [2, 9, 10, 11, 3]
    before = model.read_sentences(*padded(sentence))
    for place in range(4):
        changed = [*sentence]
        changed[place] = 20
        after = model.read_sentences(*padded(changed))
        assert not torch.allclose(after.summaries, before.summaries)
        # Causal: only the tokens from the changed one on see it.
        same = (after.tokens == before.tokens).all(dim=1).tolist()
        assert same == [number < place for number in range(4)]
    kept = model.class_embedding.clone()
    model.class_embedding[0] += 1.0
    other = model.read_sentences(*padded(sentence))
    model.class_embedding.copy_(kept)
    assert not torch.allclose(other.summaries, before.summaries)
    torch.testing.assert_close(other.tokens, before.tokens, rtol=0, atol=0)


@torch.inference_mode()
def test_words_are_read_as_they_are_decoded(coca: Predictor) -> None:
    read = model_of(coca).read_sentences(*padded([2, 9, 10, 11, 3]))
    states = full_pass(coca, torch.tensor([[2, 9, 10, 11]]), torch.randn(1, 3, 8).double())
    torch.testing.assert_close(read.tokens, states[2])


@torch.inference_mode()
def test_vector_of_a_sentence_does_not_depend_on_padding(coca: Predictor) -> None:
    short, long = [2, 9, 3], [2, 9, 10, 11, 12, 3]
    together = pooled(coca, short, long)
    torch.testing.assert_close(together[:1], pooled(coca, short))
    torch.testing.assert_close(together[1:], pooled(coca, long))
    torch.testing.assert_close(together.norm(dim=1), torch.ones(2))


def pooled(coca: Predictor, *rows: list[int]) -> torch.Tensor:
    return coca.model.pool(Modality.TEXT, coca.model.summarize(*padded(*rows)))


@torch.inference_mode()
def test_photos_and_sentences_are_embedded_through_requests(
    coca: Predictor, photos: list[Image.Image]
) -> None:
    model, sentences = model_of(coca), ["a dog", "A dog runs on  grass ."]
    found = embed(coca, [*sentences, photos[0]], ExitConfig(image=FixedDepthPolicy(depth=2)))
    assert found.depths == (0, 0, 2)
    for words, row in zip(["a dog", "a dog runs on grass"], found.vectors, strict=False):
        ids = [coca.tokenizer.start_id, *coca.tokenizer.encode(words), coca.tokenizer.end_id]
        torch.testing.assert_close(row, pooled(coca, ids)[0])
    memory = memory_of(coca, coca.embedding_request(photos[0], ExitConfig()), 2)
    torch.testing.assert_close(found.vectors[2], model.poolers.image(memory, None)[0])


def test_slots_answer_with_vectors_beside_captions(
    coca: Predictor, photos: list[Image.Image]
) -> None:
    requests = [
        coca.embedding_request("a dog", ExitConfig()),
        coca.request("caption", photos[0], ExitConfig()),
        coca.embedding_request(photos[1], ExitConfig()),
    ]
    text, caption, photo = coca.answer(requests)
    assert_same_answer(coca.answer([requests[1]])[0], caption)
    vectors = embed(coca, ["a dog", photos[1]], ExitConfig()).vectors
    for answer, vector in zip((text, photo), vectors, strict=True):
        torch.testing.assert_close(torch.tensor(answer.embedding), vector)
    absent = ModalityTrace(0, 4, (), ())
    assert text.trace.encoder.image == text.trace.encoder.text == photo.trace.encoder.text == absent
    # Both unimodal layers read the sentence; there is no exit among them.
    assert (text.trace.cost.layers_run, text.trace.cost.layers_full) == (2.0, 2.0)
    assert text.trace.cost.flops == text.trace.cost.flops_full


@pytest.mark.parametrize("content", ["a dog runs", "photo"])
def test_operations_of_a_vector_agree_with_the_counter(
    coca: Predictor, photos: list[Image.Image], content: str
) -> None:
    exits = ExitConfig(image=FixedDepthPolicy(depth=3))
    request = coca.embedding_request(photos[0] if content == "photo" else content, exits)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        (answer,) = coca.answer([request])
    # The attention of sentences computes masked pairs too, which are not counted.
    masked = 0 if content == "photo" else 2 * 4 * 8 * (5 * 4 // 2)
    assert answer.trace.cost.flops == counter.get_total_flops() - masked


def test_summaries_are_only_for_models_without_a_text_side(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="has a text side"):
        predictor.model.summarize(*padded([2, 9, 3]))


@torch.inference_mode()
def test_unimodal_layers_ignore_the_photo(coca: Predictor) -> None:
    ids = torch.tensor([[2, 9, 10]])
    one, other = (full_pass(coca, ids, torch.randn(1, 3, 8).double()) for _ in range(2))
    for depth in (0, 1, 2):
        assert torch.equal(one[depth], other[depth])
    assert not torch.allclose(one[3], other[3])


# ---- configuration and checkpoint


def test_checkpoint_holds_the_model_that_was_saved(
    checkpoint: Path, config: ModelConfig, tmp_path: Path, photos: list[Image.Image]
) -> None:
    first = Predictor.load(checkpoint)
    assert first.model.config == config
    assert first.info.first_exit_depth == 3
    save_checkpoint(first.model, first.tokenizer, tmp_path, torch.float32)
    second = Predictor.load(tmp_path)
    expected = first.model.state_dict()
    assert second.model.state_dict().keys() == expected.keys()
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    texts: list[list[Answer]] = [
        one.answer(requests_of(one, photos[:2], ExitConfig())) for one in (first, second)
    ]
    assert [a.token_ids for a in texts[0]] == [a.token_ids for a in texts[1]]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_unimodal_layers=0", "num_unimodal_layers: 0 must be between 1 and 5"),
        ("num_unimodal_layers=6", "num_unimodal_layers: 6 must be between 1 and 5"),
        ("num_pooler_queries=0", "num_pooler_queries: must be above 0"),
        ("embedding_size=0", "embedding_size: must be above 0"),
        ("max_text_tokens=41", "max_text_tokens: 41 exceeds max_target_tokens: 40"),
        ("tasks.caption.instruction=hello", r"tasks.caption.instruction: must be absent"),
        ("tasks.caption.takes_text=true", r"tasks.caption.takes_text: must be absent"),
        ("architecture=unified", "num_unimodal_layers: 3 must be 0 for architecture 'unified'"),
        ("architecture=clip", "architecture"),
    ],
)
def test_wrong_configuration_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(MODEL, ModelConfig, [override])


def test_memory_begins_as_means_of_the_states(config: ModelConfig) -> None:
    torch.manual_seed(1)
    pooler = build_model(config, 20).caption_pooler  # type: ignore[operator]
    states = torch.randn(1, 1, 8).expand(1, 4, 8)
    # All states alike: their mean is any of them, whatever the weights.
    expected = torch.nn.functional.layer_norm(states[:, :3], (8,))
    torch.testing.assert_close(pooler(states), expected)
