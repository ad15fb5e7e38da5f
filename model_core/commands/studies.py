"""The commands that answer a split under many settings: ``sweep``, ``report``."""

import argparse
from pathlib import Path
from typing import Any

from model_core.checkpoint import default_checkpoint
from model_core.commands.options import (
    add_command,
    add_examples,
    add_feature_cache,
    add_model_command,
    load_examples,
    load_predictor,
    positive,
    print_json,
    split_numbers,
)
from model_core.evaluation.features import stem_features
from model_core.evaluation.points import (
    BEAMS,
    FAMILIES,
    METHODS,
    ORACLE,
    PRESETS,
    families_of,
    method_families,
    sweep_points,
)
from model_core.evaluation.results import TUNING, read_results
from model_core.evaluation.sweep import NUM_TIMED, Sweep
from model_core.evaluation.workload import Workload
from model_core.predictor import Predictor

RESULTS_FOLDER = Path("docs/results")


def add_sweep(commands: Any) -> None:
    """``sweep``."""
    parser = add_model_command(
        commands,
        "sweep",
        "Quality, saving and time of every exit method; a sweep that was stopped continues.",
        "sweep --task caption --split test --out docs/results --batch-sizes 1,16",
    )
    add_examples(parser)
    parser.add_argument("--out", type=Path, default=RESULTS_FOLDER, metavar="DIR")
    parser.add_argument(
        "--batch-sizes", default="1,4,16,32", help="to measure times at, by commas; empty for none"
    )
    parser.add_argument(
        "--policies",
        default="",
        help=f"by commas: {', '.join([*FAMILIES, PRESETS, BEAMS, ORACLE])}, single presets or YAML "
        f"files, or {METHODS} for every family that is tuned; default all that the model has heads "
        "for",
    )
    parser.add_argument(
        "--num-timed",
        type=positive,
        default=NUM_TIMED,
        help=f"examples to measure times on; default {NUM_TIMED}, at least the largest batch",
    )
    add_feature_cache(parser)
    parser.set_defaults(run=_sweep)


def add_report(commands: Any) -> None:
    """``report``."""
    parser = add_command(
        commands,
        "report",
        "Figures, tables and the README's figures from the results of sweeps.",
        "report --results docs/results",
    )
    parser.add_argument("--results", type=Path, default=RESULTS_FOLDER, metavar="DIR")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), metavar="FILE")
    parser.add_argument("--methods", type=Path, default=Path("docs/methods.md"), metavar="FILE")
    parser.add_argument(
        "--card", type=Path, default=default_checkpoint() / "MODEL_CARD.md", metavar="FILE"
    )
    parser.set_defaults(run=_report)


def _sweep(options: argparse.Namespace) -> None:
    names = [name for name in options.policies.split(",") if name]
    sizes = split_numbers("--batch-sizes", options.batch_sizes) if options.batch_sizes else []
    predictor = load_predictor(options)
    depths = predictor.info.depths
    is_one_step = predictor.info.tasks[options.task].max_new_tokens == 1
    info = predictor.info
    families = families_of(is_one_step, depths, info.learned_kinds, info.has_text_side)
    if names == [METHODS]:
        names = method_families(families)
    points = sweep_points(names or families, options.task, depths)
    stem = f"{options.task}-with-premise" if options.with_premise else options.task
    path = options.out / f"{stem}.json"
    workload = load_workload(options, predictor)
    has_oracle = not names or ORACLE in names
    tuning_path = options.out / TUNING / path.name
    tuning = read_results(tuning_path) if tuning_path.is_file() else None
    sweep = Sweep(workload, points, path, sizes, has_oracle, options.num_timed, tuning)
    results = sweep.run()
    if options.json:
        print_json(results)
    else:
        print(path)


def _report(options: argparse.Namespace) -> None:
    # Here, because it brings matplotlib, which no other command waits for.
    from model_core.evaluation.report import write_report

    for path in write_report(options.results, options.readme, options.methods, options.card):
        print(path)


def load_workload(options: argparse.Namespace, predictor: Predictor) -> Workload:
    """Examples and stem features of a command."""
    examples = load_examples(options, predictor)
    features = stem_features(predictor, examples, options.feature_cache)
    split = f"{options.split} with premise" if options.with_premise else options.split
    return Workload(predictor, options.task, split, examples, features)
