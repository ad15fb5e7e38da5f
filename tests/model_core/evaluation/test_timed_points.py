"""Which points are timed."""

from model_core.config import ExitConfig
from model_core.evaluation.results import PointResult
from model_core.evaluation.timed_points import points_to_time
from model_core.policies import FixedDepthPolicy
from tests.model_core.evaluation.invented import make_point, make_results


def fixed(family: str, depth: int, **sites: FixedDepthPolicy) -> PointResult:
    point = make_point(family, f"depth {depth}", 0.4, 0.1)
    return point.model_copy(update={"exits": ExitConfig.model_validate(sites)})


def test_full_presets_fixed_depths_and_the_cheapest_that_keep_enough() -> None:
    results = make_results()
    results.points = [point for point in results.points if not point.family.startswith("fixed")]
    for depth in range(1, 6):
        policy = FixedDepthPolicy(depth=depth)
        results.points.append(fixed("fixed_decoder", depth, decoder=policy))
        results.points.append(fixed("fixed_text", depth, text=policy))
    results.points += [
        make_point("confidence", "keeps 99 %", 0.496, 0.25),
        make_point("confidence", "keeps 95 %", 0.476, 0.35),
        make_point("confidence", "keeps 90 %", 0.46, 0.45),
        make_point("confidence_copy_hidden", "copied", 0.5, 0.4),
        make_point("similarity", "poor", 0.3, 0.4),
        make_point("similarity", "poorer", 0.2, 0.5),
    ]
    assert [point.key for point in points_to_time(results)] == [
        "full: full",
        "presets: balanced",
        *(f"fixed_decoder: depth {depth}" for depth in range(1, 6)),
        "fixed_text: depth 1",
        "similarity: poor",
        "confidence: keeps 99 %",
        "confidence: keeps 95 %",
        "similarity_image: image similarity 0.98",
    ]


def test_points_are_those_that_keep_enough_on_the_tuning_split() -> None:
    results, tuning = make_results(), make_results()
    chosen = [point.key for point in points_to_time(results) if point.family == "confidence"]
    assert chosen == ["confidence: decoder confidence 0.8", "confidence: decoder confidence 0.4"]
    tuning.points[4] = make_point("confidence", "decoder confidence 0.4", 0.4, 0.3)
    tuned = [point.key for point in points_to_time(results, tuning) if point.family == "confidence"]
    assert tuned == ["confidence: decoder confidence 0.8"]
