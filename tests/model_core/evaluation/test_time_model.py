"""Prices of parts: found again from times that were made of them."""

from pathlib import Path

import numpy as np
import pytest

from model_core.config import ExitConfig
from model_core.evaluation.answer_counts import ANSWERS, time_parts
from model_core.evaluation.examples import read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.grids import DECODER_KINDS, ENCODER_KINDS, policies_of
from model_core.evaluation.time_model import (
    TimeModel,
    fit_time_model,
    measure_time_model,
    priced_settings,
)
from model_core.evaluation.workload import Workload
from model_core.policy_heads import HEADS
from model_core.predictor import Predictor

PRICES = {ANSWERS: 4.0, "layers": 2.0, "heads": 0.5}


def invented_parts(count: int) -> list[dict[str, float]]:
    generator = np.random.default_rng(0)
    return [
        {ANSWERS: 1, "layers": int(generator.integers(1, 7)), "heads": int(generator.integers(13))}
        for _ in range(count)
    ]


def ms_of(parts: dict[str, float]) -> float:
    return sum(PRICES[name] * count for name, count in parts.items())


def test_prices_are_found_again() -> None:
    parts = invented_parts(40)
    model = fit_time_model(parts, [ms_of(counts) for counts in parts])
    assert model.part_ms == pytest.approx(PRICES)
    assert model.mean_error == pytest.approx(0.0, abs=1e-9)
    assert model.num_measured == 40
    # sums over two answers give their mean
    assert model.ms({ANSWERS: 2, "layers": 10, "heads": 4}) == pytest.approx(4 + 10 + 1)


def test_no_price_is_negative() -> None:
    parts = invented_parts(40)
    model = fit_time_model(parts, [10 - counts["heads"] / 2 for counts in parts])
    assert min(model.part_ms.values()) >= 0
    assert model.part_ms["heads"] == 0


def test_parts_that_always_go_together_are_foretold_together() -> None:
    parts = [{ANSWERS: 1, "steps": 1, "layers": depth} for depth in (1, 3, 6)]
    model = fit_time_model(parts, [5.0 + 2 * counts["layers"] for counts in parts])
    assert model.ms({ANSWERS: 1, "steps": 1, "layers": 2}) == pytest.approx(9.0)


def test_part_without_a_price_is_refused() -> None:
    model = TimeModel({ANSWERS: 1.0}, 0.0, 1)
    assert model.ms({ANSWERS: 1, "never ran": 0}) == 1.0
    with pytest.raises(ValueError, match="part 'new_scores' has no price"):
        model.ms({ANSWERS: 1, "new_scores": 2})


@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_whatever_a_search_may_try_has_a_price(
    predictor: Predictor, data_folder: Path, task: str
) -> None:
    examples = read_examples(predictor, task, data_folder, "val")
    workload = Workload(predictor, task, "val", examples, stem_features(predictor, examples))
    model = measure_time_model(workload, num_photos=1)
    for kind in DECODER_KINDS:
        for encoder_kind in ENCODER_KINDS:
            encoder = policies_of(encoder_kind, 4)[1]
            exits = ExitConfig(image=encoder, text=encoder, decoder=policies_of(kind, 4)[-2])
            (answer,) = predictor.answer([workload.request(examples[0], exits)])
            assert model.ms(time_parts(exits, answer)) > 0


def test_policies_without_their_heads_are_not_priced(
    predictor: Predictor, tiny_checkpoint: Path
) -> None:
    def kinds(model: Predictor) -> set[str | None]:
        settings = priced_settings(Workload(model, "caption", "val", [], {}))
        return {exits.decoder.learned_kind for exits in settings}

    bare = Predictor.load(tiny_checkpoint, dtype="float64")
    bare.model.policy_heads.clear()
    assert kinds(predictor) - kinds(bare) == set(HEADS)
