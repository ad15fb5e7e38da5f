"""The commands beside the sweeps of a benchmark: ``retrieve``, ``judgments``, ``conformal``."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from model_core.commands.options import (
    DEFAULT_DATA,
    add_command,
    add_feature_cache,
    add_model_command,
    load_predictor,
    positive,
    print_json,
    split_shares,
)
from model_core.config import ExitConfig, preset_exits
from model_core.evaluation.conformal import ConformalReport, trust_of_exits
from model_core.evaluation.examples import read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.judgments import Judgments, judge_metrics
from model_core.evaluation.points import fixed_depths
from model_core.evaluation.results import CONFORMAL, JUDGMENTS, RETRIEVAL, write_results
from model_core.evaluation.retrieval import RetrievalResults, retrieve
from model_core.evaluation.workload import Workload
from model_core.predictor import Predictor
from model_core.request import EMBEDDING_TASK

LABEL_TASK = "entailment"

logger = logging.getLogger(__name__)


def add_retrieve(commands: Any) -> None:
    """``retrieve``."""
    parser = add_model_command(
        commands,
        "retrieve",
        "Photos for captions and captions for photos, by the encoder alone.",
        "retrieve --split test --policies full,fast --fixed-depths --out docs/results",
    )
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR")
    parser.add_argument("--num-examples", type=positive, help="the first N photos only")
    parser.add_argument("--policies", default="full", help="presets or YAML files, by commas")
    parser.add_argument(
        "--fixed-depths", action="store_true", help="every depth too, both modalities at the same"
    )
    add_feature_cache(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"write {RETRIEVAL}.json into this folder"
    )
    parser.add_argument(
        "--if-possible", action="store_true", help="do nothing for a checkpoint without poolers"
    )
    parser.set_defaults(run=_retrieve)


def add_judgments(commands: Any) -> None:
    """``judgments``."""
    parser = add_command(
        commands,
        "judgments",
        "Do the caption metrics rank captions as people do? Kendall's tau; no model is used.",
        "judgments --data ../shared/data/flickr8k --json",
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"write {JUDGMENTS}.json into this folder"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_judgments)


def add_conformal(commands: Any) -> None:
    """``conformal``."""
    parser = add_model_command(
        commands,
        "conformal",
        "Sets of labels that hold the right one as often as asked, and how far each exit's "
        "probabilities can be trusted.",
        "conformal --coverages 0.9,0.95 --fit-split val --split test",
    )
    for option, default in (("--fit-split", "val"), ("--split", "test")):
        parser.add_argument(option, default=default, choices=("train", "val", "test"))
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR")
    parser.add_argument("--num-examples", type=positive, help="the first N of each split only")
    parser.add_argument("--with-premise", action="store_true", help="show the premise sentence too")
    parser.add_argument("--coverages", default="0.9,0.95", help="shares above 0 and below 1")
    add_feature_cache(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"write {CONFORMAL}.json into this folder"
    )
    parser.set_defaults(run=_conformal)


def _retrieve(options: argparse.Namespace) -> None:
    predictor = load_predictor(options)
    depths = predictor.info.depths
    names = options.policies.split(",")
    settings = {name: preset_exits(name, EMBEDDING_TASK, depths) for name in names}
    if options.if_possible and predictor.model.poolers is None:
        logger.warning("%s has no poolers: retrieval is left out", predictor.info.name)
        return
    predictor.check_poolers()  # before anything is computed
    if options.fixed_depths:
        settings |= fixed_settings(predictor)
    examples = read_examples(
        predictor, "caption", options.data, options.split, limit=options.num_examples
    )
    features = stem_features(predictor, examples, options.feature_cache)
    results = retrieve(predictor, options.split, examples, features, settings)
    _deliver(options, results, RETRIEVAL, describe_retrieval(results))


def fixed_settings(predictor: Predictor) -> dict[str, ExitConfig]:
    """Every depth below the last, image and text alike, by name."""
    policies = fixed_depths(predictor.info.num_encoder_layers)
    return {f"depth {one.depth}": ExitConfig(image=one, text=one) for one in policies}


def describe_retrieval(results: RetrievalResults) -> list[str]:
    """A line per setting."""
    lines = []
    for point in results.points:
        words = [f"{point.name}:"]
        for name, found in (("text", point.text_to_image), ("photo", point.image_to_text)):
            shares = " ".join(f"R@{cut} {share:.3f}" for cut, share in found.at.items())
            words.append(f"by {name} {shares} median rank {found.median_rank:g}")
        lines.append("  ".join(words))
    return lines


def _judgments(options: argparse.Namespace) -> None:
    found = judge_metrics(options.data)
    _deliver(options, found, JUDGMENTS, describe_judgments(found))


def _conformal(options: argparse.Namespace) -> None:
    coverages = split_shares("--coverages", options.coverages)
    predictor = load_predictor(options)

    def workload(split: str) -> Workload:
        examples = read_examples(
            predictor, LABEL_TASK, options.data, split, options.with_premise, options.num_examples
        )
        features = stem_features(predictor, examples, options.feature_cache)
        return Workload(predictor, LABEL_TASK, split, examples, features)

    found = trust_of_exits(workload(options.fit_split), workload(options.split), coverages)
    _deliver(options, found, CONFORMAL, describe_conformal(found))


def describe_conformal(found: ConformalReport) -> list[str]:
    """A line per exit."""
    lines = []
    for one in found.exits:
        words = f"depth {one.depth}: accuracy {one.accuracy:.3f}, calibration error {one.ece:.3f}"
        words += f", {one.ece_scaled:.3f} at temperature {one.temperature:.2f}"
        sets = [
            f"asked {part.asked:.0%}: holds it {part.coverage:.1%}, {part.mean_size:.2f} labels"
            for part in one.sets
        ]
        lines.append("; ".join([words, *sets]))
    return lines


def _deliver(
    options: argparse.Namespace, found: BaseModel, name: str, lines: Sequence[str]
) -> None:
    if options.out:
        write_results(found, options.out / f"{name}.json")
    if options.json:
        print_json(found)
    else:
        print("\n".join(lines))


def describe_judgments(found: Judgments) -> list[str]:
    """A line per set of ratings and metric."""
    return [
        f"{name}  {metric}: tau-c {agreement.tau_c:.3f}, tau-b {agreement.tau_b:.3f}"
        for name, result in (("experts", found.experts), ("crowd", found.crowd))
        for metric, agreement in result.metrics.items()
    ]
