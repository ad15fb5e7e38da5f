"""The command ``calibrate``: thresholds that keep a share of full depth's quality."""

import argparse
import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from model_core.commands.options import (
    add_examples,
    add_feature_cache,
    add_model_command,
    load_predictor,
    positive,
    print_json,
    split_names,
    split_shares,
)
from model_core.errors import ConfigError
from model_core.evaluation.calibrate import Calibration, Kinds, calibrate
from model_core.evaluation.examples import Example, read_examples
from model_core.evaluation.features import stem_features
from model_core.evaluation.grids import ENCODER_KINDS, NEVER, SEARCHED_DECODER_KINDS
from model_core.evaluation.hold_out import HeldOut, hold_out
from model_core.evaluation.photo_split import draw_photos, split_photos
from model_core.evaluation.preset_file import preset_path, write_preset
from model_core.evaluation.trials import CostMeasure, Goal
from model_core.evaluation.workload import Workload
from model_core.policy_heads import usable_kinds
from model_core.predictor import Predictor

logger = logging.getLogger(__name__)

NUM_SEARCH = 500


def add_calibrate(commands: Any) -> None:
    """``calibrate``."""
    parser = add_model_command(
        commands,
        "calibrate",
        "Choose thresholds that keep full depth's quality with a stated confidence.",
        "calibrate --task caption --target 0.99,0.97,0.9 --confidence 0.95 "
        "--write quality,balanced,fast --hold-out test --feature-cache DIR --json",
    )
    add_examples(parser, split="val")
    _add_goal(parser)
    _add_search(parser)
    _add_kinds(parser)
    add_feature_cache(parser)
    parser.add_argument(
        "--write",
        metavar="NAMES",
        help="put each target's setting into the preset configs/policy/NAME.yaml, or into a YAML "
        "file; by commas, as many as targets",
    )
    parser.add_argument(
        "--hold-out",
        choices=("val", "test"),
        help="after choosing, answer this split once with each chosen setting and say what it kept",
    )
    parser.set_defaults(run=_calibrate)


def _add_goal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", default="0.99", help="shares of quality to keep, by commas")
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument(
        "--cost",
        choices=[measure.value for measure in CostMeasure],
        default=CostMeasure.WALL.value,
        help="what to save: wall is the time without the stem at batch size 1, foretold from "
        "times measured at the start; flops and layers are counted",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--search-split",
        default="train",
        choices=("train", "val", "test"),
        help="whose photos order the settings before they are tested on --split; the same split "
        "is divided by photos",
    )
    parser.add_argument(
        "--num-search", type=positive, default=NUM_SEARCH, help="photos of another --search-split"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the photos that are drawn")


def _add_kinds(parser: argparse.ArgumentParser) -> None:
    for site, kinds in (("decoder", SEARCHED_DECODER_KINDS), ("encoder", ENCODER_KINDS)):
        parser.add_argument(
            f"--{site}-policies",
            help=f"by commas: {', '.join(kinds)}, or {NEVER}; default all that the model can use",
        )


def _calibrate(options: argparse.Namespace) -> None:
    goal = Goal(
        split_shares("--target", options.target), options.confidence, CostMeasure(options.cost)
    )
    decoder_kinds = _kinds("--decoder-policies", options.decoder_policies, SEARCHED_DECODER_KINDS)
    encoder_kinds = _kinds("--encoder-policies", options.encoder_policies, ENCODER_KINDS)
    paths = _paths(options.write, goal)
    _check_hold_out(options)
    predictor = load_predictor(options)
    if decoder_kinds is None:
        decoder_kinds = usable_kinds(SEARCHED_DECODER_KINDS, predictor.info.learned_kinds)
    kinds = Kinds(decoder_kinds, ENCODER_KINDS if encoder_kinds is None else encoder_kinds)
    parts = Parts(options, predictor)
    search, test = parts.search_and_test()
    result = calibrate(search, test, goal, kinds, options.feature_cache)
    held_out: list[HeldOut] = []
    if options.hold_out:
        held_out = hold_out(result.choices, goal, parts.held_out(), options.feature_cache)
    for choice, path in zip(result.choices, paths, strict=False):
        write_preset(result, choice, path, held_out)
        logger.info("%s: written", path)
    _print(result, held_out, options.json)


def _print(result: Calibration, held_out: list[HeldOut], is_json: bool) -> None:
    if is_json:
        print_json(
            dataclasses.asdict(result)
            | {"held_out": [dataclasses.asdict(item) for item in held_out]}
        )
        return
    for choice in result.choices:
        print(choice.message)
    for item in held_out:
        print(
            f"held out on {item.split}, {item.target:g}: kept {item.kept.estimate:.3f} "
            f"({item.kept.lower:.3f} to {item.kept.upper:.3f})"
        )


def _kinds(option: str, text: str | None, allowed: tuple[str, ...]) -> list[str] | None:
    """Kinds by name, none for ``never``; None where nothing was asked for."""
    if text is None:
        return None
    return [name for name in split_names(option, text, (*allowed, NEVER)) if name != NEVER]


def _paths(names: str | None, goal: Goal) -> list[Path]:
    paths = [preset_path(name) for name in names.split(",")] if names else []
    if paths and len(paths) != len(goal.targets):
        raise ConfigError(
            f"--write {names!r:.80}: {len(paths)} presets for {len(goal.targets)} targets; "
            "name one for each"
        )
    return paths


def _check_hold_out(options: argparse.Namespace) -> None:
    if options.hold_out and options.hold_out in (options.split, options.search_split):
        raise ConfigError(
            f"--hold-out {options.hold_out}: the settings are chosen on it; use another split"
        )


class Parts:
    """The workloads of a calibration."""

    def __init__(self, options: argparse.Namespace, predictor: Predictor) -> None:
        self._options, self._predictor = options, predictor

    def search_and_test(self) -> tuple[Workload, Workload]:
        """The searching part and the testing part."""
        options = self._options
        test = self._read(options.split, options.with_premise, options.num_examples)
        if options.search_split == options.split:
            search, test = split_photos(test, options.seed)
        else:
            others = self._read(options.search_split, options.with_premise)
            search = draw_photos(others, options.num_search, options.seed)
        return (
            self._workload(search, options.search_split, options.with_premise),
            self._workload(test, options.split, options.with_premise),
        )

    def held_out(self) -> list[Workload]:
        """The held-out split; of a task that takes text both with and without the premise."""
        options = self._options
        takes_text = self._predictor.info.tasks[options.task].takes_text
        protocols = (False, True) if takes_text else (False,)
        return [
            self._workload(self._read(options.hold_out, has_premise), options.hold_out, has_premise)
            for has_premise in protocols
        ]

    def _read(self, split: str, has_premise: bool, limit: int | None = None) -> list[Example]:
        options = self._options
        return read_examples(self._predictor, options.task, options.data, split, has_premise, limit)

    def _workload(self, examples: list[Example], split: str, has_premise: bool) -> Workload:
        features: Mapping[Path, Tensor] = stem_features(
            self._predictor, examples, self._options.feature_cache
        )
        name = f"{split} with premise" if has_premise else split
        return Workload(self._predictor, self._options.task, name, examples, features)
