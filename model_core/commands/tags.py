"""The command ``tags``: words of photos under every exit setting of the image encoder."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model_core.checkpoint import WEIGHTS_FILE
from model_core.commands.options import (
    DEFAULT_DATA,
    add_feature_cache,
    add_model_command,
    positive,
    print_json,
    split_numbers,
)
from model_core.errors import ConfigError, InputError
from model_core.evaluation.features import stem_features
from model_core.evaluation.grids import describe_policy
from model_core.evaluation.results import TAGS, write_results
from model_core.evaluation.tag_study import TagModel, TagResults, TagSplit, study_tags
from model_core.evaluation.tags import read_tag_examples
from model_core.manifest import read_manifest
from model_core.predictor import Predictor
from model_core.tagging import tag_heads_of

MAIN = "heterogeneous"
NUM_TIMED = 96


def add_tags(commands: Any) -> None:
    """``tags``."""
    parser = add_model_command(
        commands,
        "tags",
        "Words of photos under every exit setting; heads of other kinds beside them.",
        "tags --checkpoint runs/tags/checkpoint --compare mlp=runs/tags-mlp/checkpoint "
        "--out docs/results",
    )
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help=f"a checkpoint of the same model with other tag heads, beside '{MAIN}'; may be given "
        "several times",
    )
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument(
        "--choice-split",
        default="val",
        choices=("train", "val"),
        help="that settings are chosen on",
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR")
    parser.add_argument("--num-examples", type=positive, help="the first N of each split only")
    parser.add_argument(
        "--batch-sizes", default="1,16", help="to measure times at, by commas; empty for none"
    )
    parser.add_argument(
        "--num-timed",
        type=positive,
        default=NUM_TIMED,
        help=f"photos to measure times on; default {NUM_TIMED}",
    )
    add_feature_cache(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"write {TAGS}.json into this folder"
    )
    parser.set_defaults(run=_tags)


def _tags(options: argparse.Namespace) -> None:
    sizes = split_numbers("--batch-sizes", options.batch_sizes) if options.batch_sizes else []
    predictors = load_models(options, {MAIN: options.checkpoint, **parse_compared(options.compare)})
    first = predictors[MAIN]

    def split(name: str) -> TagSplit:
        given = read_tag_examples(first, options.data, name, options.num_examples)
        return TagSplit(name, given, stem_features(first, given.examples, options.feature_cache))

    results = study_tags(
        predictors, split(options.choice_split), split(options.split), sizes, options.num_timed
    )
    if options.out:
        write_results(results, options.out / f"{TAGS}.json")
    if options.json:
        print_json(results)
    else:
        print("\n".join(describe_tags(results)))


def parse_compared(pairs: Sequence[str]) -> dict[str, Path]:
    """Checkpoint folders by name, of ``NAME=FOLDER`` each.

    Raises:
        ConfigError: One is something else, or a name is taken.
    """
    found: dict[str, Path] = {}
    for pair in pairs:
        name, separator, folder = pair.partition("=")
        if not separator or not name or not folder:
            raise ConfigError(f"--compare {pair!r:.80}: must look like NAME=FOLDER")
        if name in found or name == MAIN:
            raise ConfigError(f"--compare {pair!r:.80}: the name {name!r} is taken")
        found[name] = Path(folder)
    return found


def load_models(options: argparse.Namespace, folders: Mapping[str, Path]) -> dict[str, Predictor]:
    """The models of the command, which differ in their tag heads alone.

    Raises:
        InputError: One has no tag heads, or its weights or words are others.
    """
    predictors = {}
    for name, folder in folders.items():
        one = Predictor.load(
            folder, options.device, options.dtype, options.threads, options.weights
        )
        tag_heads_of(one.model)
        predictors[name] = one
        first = predictors[MAIN]
        same_weights = _weights_hash(folder) == _weights_hash(folders[MAIN])
        if not same_weights or one.info.tags != first.info.tags:
            raise InputError(
                f"{folder}: has other {'words' if same_weights else 'weights'} than "
                f"{folders[MAIN]}; only tag heads of one model can be compared"
            )
    return predictors


def _weights_hash(folder: Path) -> str:
    return read_manifest(folder)[WEIGHTS_FILE]


def describe_tags(results: TagResults) -> list[str]:
    """A line per model and setting; the chosen ones are marked."""
    lines = [
        f"{results.split}: {results.num_photos} photos, {len(results.words)} words, "
        f"{results.words_per_photo:.2f} a photo; * keeps {results.kept_share:.0%} of full depth's "
        f"map on {results.choice_split} at the lowest cost of its kind"
    ]
    for name, model in results.models.items():
        lines += [f"{name}: {line}" for line in _describe_model(model)]
    return lines


def _describe_model(model: TagModel) -> list[str]:
    lines = []
    for place, point in enumerate(model.points):
        of_map, of_f1 = point.metrics["map"], point.metrics["micro_f1"]
        marks = "*" if place in model.chosen.values() else ""
        times = " ".join(
            f"x{size} {one.ms_without_stem.median:.2f} ms" for size, one in point.times.items()
        )
        beside = point.against_first
        against = (
            ""
            if beside is None
            else f"  against {MAIN} {beside.difference:+.3f} "
            f"[{beside.difference_low:+.3f}, {beside.difference_high:+.3f}]"
        )
        lines.append(
            f"{describe_policy(point.policy)}{marks}  map {of_map.value:.3f} "
            f"[{of_map.low:.3f}, {of_map.high:.3f}]{against}  micro_f1 {of_f1.value:.3f}  depth "
            f"{point.mean_depth:.2f}  saved: layers {point.saving.layers:.1%}, FLOPs "
            f"{point.saving.flops:.1%}  {times}".rstrip()
        )
    return lines
