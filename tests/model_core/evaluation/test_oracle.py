"""The oracle: the probe equals a teacher-forced pass, and its depths really give the answer."""

from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from model_core.config import ExitConfig
from model_core.evaluation.examples import read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.flops import FlopModel
from model_core.evaluation.oracle import (
    GreedyTokenProbe,
    decoder_flops,
    decoder_oracle,
    encoder_oracle,
    oracle_depths,
)
from model_core.evaluation.workload import Workload
from model_core.policies import ExitSite, FixedDepthPolicy
from model_core.predictor import Predictor

PROBE = ExitConfig.model_construct(decoder=GreedyTokenProbe())


@pytest.fixture(params=["caption", "entailment"])
def workload(predictor: Predictor, data_folder: Path, request: pytest.FixtureRequest) -> Workload:
    examples = read_examples(predictor, request.param, data_folder, "val")
    return Workload(predictor, request.param, "val", examples, stem_features(predictor, examples))


def test_probe_changes_nothing(workload: Workload) -> None:
    full = workload.answer(ExitConfig(), "")
    probed = workload.answer(PROBE, "")
    assert [answer.token_ids for answer in probed] == [answer.token_ids for answer in full]
    assert [len(token.scores) for answer in probed for token in answer.trace.decoder.tokens] == [
        4 for answer in full for _ in answer.token_ids
    ]


def test_probe_sees_the_token_of_every_depth(
    predictor: Predictor, photos: list[Image.Image]
) -> None:
    # the first token depends on no earlier one: a fixed depth shows what each depth would choose
    (probed,) = predictor.answer([predictor.request("caption", photos[0], PROBE)])
    for depth in range(1, 5):
        exits = ExitConfig(decoder=FixedDepthPolicy(depth=depth))
        (answer,) = predictor.answer([predictor.request("caption", photos[0], exits)])
        assert probed.trace.decoder.tokens[0].scores[depth - 1] == answer.token_ids[0]


def test_labels_at_the_oracle_s_depth_are_full_depth_s(
    predictor: Predictor, data_folder: Path
) -> None:
    examples = read_examples(predictor, "entailment", data_folder, "val")
    workload = Workload(
        predictor, "entailment", "val", examples, stem_features(predictor, examples)
    )
    full = workload.answer(ExitConfig(), "")
    by_depth = [
        workload.answer(ExitConfig(decoder=FixedDepthPolicy(depth=depth)), "")
        for depth in range(1, 5)
    ]
    probed = workload.answer(PROBE, "")
    for number, answer in enumerate(probed):
        (depth,) = oracle_depths(answer)
        agrees = [answers[number].text == full[number].text for answers in by_depth]
        assert agrees.index(True) + 1 == depth


def test_decoder_saving_is_that_of_its_depths(workload: Workload) -> None:
    oracle = decoder_oracle(workload)
    depths = [oracle_depths(answer) for answer in workload.answer(PROBE, "")]
    mean_depths = [sum(of_answer) / len(of_answer) for of_answer in depths]
    assert oracle.saving.layers == pytest.approx(
        sum(4 - depth for depth in mean_depths) / (8 * len(depths))
    )
    every = [depth for of_answer in depths for depth in of_answer]
    assert oracle.mean_depth.decoder == pytest.approx(sum(every) / len(every))
    # the stem runs in any case, and early tokens of a caption catch up for deep ones
    assert 0 <= oracle.saving.flops < oracle.saving.layers


@pytest.mark.parametrize("depths", list(product([1, 4], repeat=3)))
def test_decoder_operations_are_the_runtime_s(
    predictor: Predictor, photos: list[Image.Image], depths: tuple[int, ...]
) -> None:
    flops = FlopModel(predictor.model.config, predictor.info.vocabulary_size)
    length = 10
    computed = [max(depths[place:]) for place in range(3)]
    expected = max(depths) * flops.memory_key_value(length) + sum(
        depth * flops.decoder_position(place, length) for place, depth in enumerate(computed)
    )
    assert decoder_flops(flops, depths, length) == expected


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_decoder_operations_agree_with_an_answer_s_cost(
    predictor: Predictor, photos: list[Image.Image], depth: int
) -> None:
    exits = ExitConfig(decoder=FixedDepthPolicy(depth=depth))
    request = predictor.request("caption", photos[0], exits)
    (answer,) = predictor.answer([request])
    flops = FlopModel(predictor.model.config, predictor.info.vocabulary_size)
    length = predictor.model.config.stem.num_image_tokens + len(request.text_ids)
    count = len(answer.token_ids)
    saved = decoder_flops(flops, [4] * count, length) - decoder_flops(
        flops, [depth] * count, length
    )
    assert answer.trace.cost.flops_full - answer.trace.cost.flops == saved


@pytest.mark.parametrize("site", [ExitSite.IMAGE, ExitSite.TEXT])
def test_encoder_oracle_finds_the_earliest_depth(workload: Workload, site: ExitSite) -> None:
    full = workload.answer(ExitConfig(), "")
    by_depth = [
        workload.answer(ExitConfig(**{site.value: FixedDepthPolicy(depth=depth)}), "")
        for depth in range(1, 5)
    ]
    earliest = [
        next(
            depth
            for depth, answers in enumerate(by_depth, start=1)
            if answers[number].token_ids == full[number].token_ids
        )
        for number in range(len(full))
    ]
    oracle = encoder_oracle(workload, site)
    found = getattr(oracle.mean_depth, site.value)
    assert found == pytest.approx(sum(earliest) / len(earliest))
    assert oracle.saving.layers == pytest.approx((4 - found) / 2 / 8)
    assert oracle.mean_depth.decoder == 4


def test_decoder_is_no_site_of_the_encoder_s_oracle(workload: Workload) -> None:
    with pytest.raises(ValueError, match="the decoder has an oracle of its own"):
        encoder_oracle(workload, ExitSite.DECODER)
