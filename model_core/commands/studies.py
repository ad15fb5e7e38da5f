"""The commands that answer a split under many settings: ``calibrate``, ``sweep``, ``report``."""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import Any

from model_core.commands.options import (
    add_command,
    add_examples,
    add_feature_cache,
    add_model_command,
    load_examples,
    load_predictor,
    positive,
    print_json,
    split_names,
    split_numbers,
)
from model_core.evaluation.calibrate import calibrate
from model_core.evaluation.features import stem_features
from model_core.evaluation.grids import DECODER_KINDS, ENCODER_KINDS
from model_core.evaluation.points import (
    BEAMS,
    FAMILIES,
    ORACLE,
    PRESETS,
    Depths,
    families_of,
    sweep_points,
)
from model_core.evaluation.preset_file import preset_path, write_preset
from model_core.evaluation.sweep import NUM_TIMED, Sweep
from model_core.evaluation.trials import CostMeasure, Goal
from model_core.evaluation.workload import Workload
from model_core.predictor import Predictor

logger = logging.getLogger(__name__)

RESULTS_FOLDER = Path("docs/results")


def add_calibrate(commands: Any) -> None:
    """``calibrate``."""
    parser = add_model_command(
        commands,
        "calibrate",
        "Choose thresholds that keep full depth's quality with a stated confidence.",
        "calibrate --task entailment --target 0.99 --confidence 0.95 --write balanced --json",
    )
    add_examples(parser, split="val")
    parser.add_argument("--target", type=float, default=0.99, help="share of quality to keep")
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument(
        "--cost",
        choices=[measure.value for measure in CostMeasure],
        default=CostMeasure.FLOPS.value,
        help="what to save; flops and layers are counted, wall is measured at batch size 1",
    )
    parser.add_argument(
        "--decoder-policies",
        help=f"by commas: {', '.join(DECODER_KINDS)}; default all that the model has heads for",
    )
    parser.add_argument("--encoder-policies", default=",".join(ENCODER_KINDS), help="by commas")
    parser.add_argument("--seed", type=int, default=0)
    add_feature_cache(parser)
    parser.add_argument(
        "--write",
        metavar="NAME",
        help="put the result into the preset configs/policy/NAME.yaml, or into a YAML file",
    )
    parser.set_defaults(run=_calibrate)


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
        "files; default all that the model has heads for",
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
    parser.set_defaults(run=_report)


def _calibrate(options: argparse.Namespace) -> None:
    goal = Goal(options.target, options.confidence, CostMeasure(options.cost))
    decoder_kinds = None
    if options.decoder_policies is not None:
        decoder_kinds = split_names("--decoder-policies", options.decoder_policies, DECODER_KINDS)
    encoder_kinds = split_names("--encoder-policies", options.encoder_policies, ENCODER_KINDS)
    path = preset_path(options.write) if options.write else None
    workload = load_workload(options, load_predictor(options))
    result = calibrate(workload, goal, decoder_kinds, encoder_kinds, options.seed)
    if path:
        write_preset(result, path)
        logger.info("%s: written", path)
    if options.json:
        print_json(dataclasses.asdict(result))
    else:
        print(result.message)


def _sweep(options: argparse.Namespace) -> None:
    names = [name for name in options.policies.split(",") if name]
    sizes = split_numbers("--batch-sizes", options.batch_sizes) if options.batch_sizes else []
    predictor = load_predictor(options)
    depths = Depths(predictor.info.num_encoder_layers, predictor.info.num_decoder_layers)
    is_one_step = predictor.info.tasks[options.task].max_new_tokens == 1
    families = families_of(is_one_step, depths, predictor.info.learned_kinds)
    points = sweep_points(names or families, options.task, depths)
    stem = f"{options.task}-with-premise" if options.with_premise else options.task
    path = options.out / f"{stem}.json"
    workload = load_workload(options, predictor)
    has_oracle = not names or ORACLE in names
    results = Sweep(workload, points, path, sizes, has_oracle, options.num_timed).run()
    if options.json:
        print_json(results)
    else:
        print(path)


def _report(options: argparse.Namespace) -> None:
    # Here, because it brings matplotlib, which no other command waits for.
    from model_core.evaluation.report import write_report

    for path in write_report(options.results, options.readme):
        print(path)


def load_workload(options: argparse.Namespace, predictor: Predictor) -> Workload:
    """Examples and stem features of a command."""
    examples = load_examples(options, predictor)
    features = stem_features(predictor, examples, options.feature_cache)
    split = f"{options.split} with premise" if options.with_premise else options.split
    return Workload(predictor, options.task, split, examples, features)
