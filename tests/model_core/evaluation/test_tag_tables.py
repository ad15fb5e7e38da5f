"""The table of tags, by hand."""

from model_core.evaluation.benchmark import Spread
from model_core.evaluation.evaluate import Saving
from model_core.evaluation.tag_study import TagModel, TagPoint, TagResults
from model_core.evaluation.tag_tables import tags_section
from model_core.evaluation.tag_times import TagTimes
from model_core.policies import AnyPolicy, FixedDepthPolicy, NeverPolicy, SimilarityPolicy
from tests.model_core.evaluation.invented import CONDITIONS, make_estimate


def point(policy: AnyPolicy, quality: float, depth: float, ms: float) -> TagPoint:
    return TagPoint(
        policy=policy,
        choice_map=quality,
        metrics={"map": make_estimate(quality), "micro_f1": make_estimate(quality / 2)},
        mean_depth=depth,
        photos_per_depth=[],
        saving=Saving(layers=1 - depth / 4, flops=0.125),
        flops=1,
        flops_without_stem=1,
        times={1: TagTimes(ms_without_stem=Spread(ms, ms, ms), wall_without_stem=1 - ms / 8)},
    )


def test_full_depth_fixed_depths_and_chosen_settings_have_a_row() -> None:
    model = TagModel(
        checkpoint="0123",
        kinds=[],
        head_flops=[],
        thresholds=[],
        points=[
            point(NeverPolicy(), 0.5, 4, 8),
            point(FixedDepthPolicy(depth=1), 0.25, 1, 2),
            point(SimilarityPolicy(threshold=0.9), 0.75, 2, 4),
            point(SimilarityPolicy(threshold=0.8), 0.1, 1, 2),
        ],
        chosen={"fixed_depth": 0, "similarity": 2},
    )
    model.points[1].against_first = make_estimate(0.375, 0.25)
    results = TagResults(
        split="test",
        choice_split="val",
        num_photos=10,
        num_choice_photos=5,
        kept_share=0.99,
        words=["dog", "grass"],
        words_per_photo=1.5,
        num_timed=3,
        conditions=CONDITIONS,
        commit="abc",
        models={"linear": model},
    )
    rows = [line for line in tags_section(results) if line.startswith("| linear")]
    assert rows == [
        "| linear | full depth | 0.500 [0.480, 0.520] | same | – | 0.250 | 4.00 | 0.0 % | "
        "12.5 % | 8.00 | 0.0 % | – | – |",
        "| linear | fixed_depth 1 | 0.250 [0.230, 0.270] | -0.250 [-0.260, -0.240] | "
        "+0.125 [+0.115, +0.135] | 0.125 | 1.00 | 75.0 % | 12.5 % | 2.00 | 75.0 % | – | – |",
        "| linear | similarity 0.9 (chosen) | 0.750 [0.730, 0.770] | +0.250 [+0.240, +0.260] | – | "
        "0.375 | 2.00 | 50.0 % | 12.5 % | 4.00 | 50.0 % | – | – |",
    ]
