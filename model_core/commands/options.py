"""Options that several commands share, and what is made of them."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from model_core.checkpoint import default_checkpoint
from model_core.config import preset_names
from model_core.errors import ConfigError
from model_core.evaluation.examples import Example, read_examples
from model_core.packed_weights import AUTO, WEIGHT_CHOICES
from model_core.predictor import DTYPES, Predictor

DEFAULT_DATA = Path("../shared/data/flickr8k")


def add_command(
    commands: Any, name: str, description: str, example: str
) -> argparse.ArgumentParser:
    """The parser of a new command; its help ends with a working ``example``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description,
        description=description,
        epilog=f"example: python -m model_core {example}",
    )
    return parser


def add_model_command(
    commands: Any, name: str, description: str, example: str
) -> argparse.ArgumentParser:
    """The parser of a command that loads a checkpoint."""
    parser = add_command(commands, name, description, example)
    parser.add_argument("--checkpoint", type=Path, default=default_checkpoint(), metavar="FOLDER")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float32")
    parser.add_argument(
        "--weights",
        choices=WEIGHT_CHOICES,
        default=AUTO,
        help="packed weights; auto: the fastest that loses nothing here; int8 changes answers",
    )
    parser.add_argument("--threads", type=positive, default=1, help="torch threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def add_policy(parser: argparse.ArgumentParser) -> None:
    """``--policy``."""
    presets = ", ".join(preset_names())
    parser.add_argument(
        "--policy", default="full", help=f"a preset ({presets}) or a YAML file; default full"
    )


def add_examples(
    parser: argparse.ArgumentParser, split: str = "test", other_tasks: Sequence[str] = ()
) -> None:
    """What a measurement runs on; ``split`` is the default, ``other_tasks`` are allowed too."""
    parser.add_argument("--task", choices=("caption", "entailment", *other_tasks), required=True)
    parser.add_argument("--split", default=split, choices=("train", "val", "test"))
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR")
    parser.add_argument("--num-examples", type=positive, help="the first N only")
    parser.add_argument(
        "--with-premise", action="store_true", help="entailment: show the premise sentence too"
    )


def add_feature_cache(parser: argparse.ArgumentParser) -> None:
    """``--feature-cache``."""
    parser.add_argument(
        "--feature-cache",
        type=Path,
        metavar="DIR",
        help="keep the photos' stem features, and a calibration's answers, here",
    )


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return number


def split_numbers(option: str, text: str) -> list[int]:
    """Whole numbers of at least 1, by commas.

    Raises:
        ConfigError: It is something else; the message names ``option``.
    """
    try:
        return [positive(part) for part in text.split(",")]
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise ConfigError(f"{option} {text!r}: numbers by commas") from error


def split_shares(option: str, text: str) -> tuple[float, ...]:
    """Numbers by commas; whoever takes them says which are allowed.

    Raises:
        ConfigError: It is something else; the message names ``option``.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} {text!r:.80}: shares by commas, such as 0.99,0.9") from error


def split_names(option: str, text: str, allowed: Sequence[str]) -> list[str]:
    """Names by commas.

    Raises:
        ConfigError: One is not ``allowed``; the message names ``option``.
    """
    names = [name for name in text.split(",") if name]
    wrong = [name for name in names if name not in allowed]
    if wrong:
        raise ConfigError(f"{option}: {wrong[0]!r:.80} is not one of {', '.join(allowed)}")
    return names


def load_predictor(options: argparse.Namespace) -> Predictor:
    """The model of the command."""
    return Predictor.load(
        options.checkpoint, options.device, options.dtype, options.threads, options.weights
    )


def load_examples(options: argparse.Namespace, predictor: Predictor) -> list[Example]:
    """The examples of the command."""
    return read_examples(
        predictor,
        options.task,
        options.data,
        options.split,
        options.with_premise,
        options.num_examples,
    )


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")
