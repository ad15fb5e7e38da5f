"""Command line: ``python -m model_core COMMAND``; ``--help`` lists the commands.

Results go to stdout, messages to stderr. Exit codes: 0 ok, 1 failed, 2 wrong usage.
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from model_core.checkpoint import save_checkpoint
from model_core.commands.calibration import add_calibrate
from model_core.commands.checks import add_conformal, add_judgments, add_retrieve
from model_core.commands.options import (
    add_command,
    add_examples,
    add_model_command,
    add_policy,
    load_examples,
    load_predictor,
    print_json,
    split_numbers,
)
from model_core.commands.search import add_search
from model_core.commands.studies import add_report, add_sweep
from model_core.commands.tags import add_tags
from model_core.config import load_config, preset_exits
from model_core.errors import ConfigError, InputError, OfframpError
from model_core.evaluation.benchmark import benchmark
from model_core.evaluation.evaluate import evaluate
from model_core.evaluation.tags import evaluate_tags, read_tag_examples
from model_core.preprocessing import MAX_PIXELS, decode_photo
from model_core.request import MAX_NUM_BEAMS
from model_core.tagging import TASK as TAGS
from model_core.training.config import TrainConfig
from model_core.training.heads import save_heads, trains_heads
from model_core.training.loop import Trainer
from model_core.training.prepare import SOURCES, prepare
from model_core.types import Answer

logger = logging.getLogger(__name__)

SAVE_DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    try:
        options.run(options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OfframpError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m model_core",
        description="Multi-exit vision-language model: answers, measurements, training.",
        epilog="example: python -m model_core caption photo.jpg --policy mue --json",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_caption(commands)
    _add_entail(commands)
    add_search(commands)
    _add_evaluate(commands)
    _add_benchmark(commands)
    add_calibrate(commands)
    add_sweep(commands)
    add_retrieve(commands)
    add_judgments(commands)
    add_conformal(commands)
    add_tags(commands)
    add_report(commands)
    _add_train(commands)
    _add_prepare(commands)
    return parser


def _add_caption(commands: Any) -> None:
    parser = add_model_command(
        commands, "caption", "Describe photos.", "caption photo.jpg --policy balanced"
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    add_policy(parser)
    _add_num_beams(parser)
    parser.set_defaults(run=_caption)


def _add_entail(commands: Any) -> None:
    parser = add_model_command(
        commands,
        "entail",
        "Does the photo entail a sentence?",
        'entail photo.jpg --hypothesis "a dog runs"',
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO")
    parser.add_argument("--hypothesis", required=True, help="the sentence to judge")
    parser.add_argument("--premise", help="a sentence that describes the photo")
    add_policy(parser)
    parser.set_defaults(run=_entail)


def _add_evaluate(commands: Any) -> None:
    parser = add_model_command(
        commands,
        "evaluate",
        "Quality and saved work of a policy on a split.",
        "evaluate --task caption --split val --policy balanced --json",
    )
    add_examples(parser, other_tasks=[TAGS])
    add_policy(parser)
    _add_num_beams(parser)
    parser.set_defaults(run=_evaluate)


def _add_benchmark(commands: Any) -> None:
    parser = add_model_command(
        commands,
        "benchmark",
        "Wall-clock of policies against full depth, interleaved.",
        "benchmark --task caption --policies full,balanced --batch-sizes 1,16 --num-examples 64",
    )
    add_examples(parser)
    parser.add_argument(
        "--policies", default="full,balanced", help="presets or YAML files, by commas"
    )
    parser.add_argument("--batch-sizes", default="1,16", help="by commas")
    parser.set_defaults(run=_benchmark)


def _add_train(commands: Any) -> None:
    parser = add_command(
        commands,
        "train",
        "Train a model in one or more stages; a run that was stopped continues.",
        "train --config configs/train/flickr8k.yaml --set num_steps=100",
    )
    parser.add_argument(
        "--config", type=Path, required=True, nargs="+", metavar="FILE", help="stages, in order"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="A.B=C",
        help="for every stage",
    )
    parser.add_argument(
        "--save-dtype",
        choices=SAVE_DTYPES,
        default="float16",
        help="of the weights on disk; another than float16 goes into a folder of its own",
    )
    parser.set_defaults(run=_train)


def _add_prepare(commands: Any) -> None:
    parser = add_command(
        commands,
        "prepare",
        "Write the folder format from a data set's official release.",
        "prepare coco ~/coco data/coco",
    )
    parser.add_argument("kind", choices=SOURCES)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--allow-missing", action="store_true", help="leave out missing photos")
    parser.set_defaults(run=_prepare)


def _add_num_beams(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--num-beams",
        type=int,
        default=1,
        choices=range(1, MAX_NUM_BEAMS + 1),
        metavar="N",
        help=f"beams of the search for captions, 1 to {MAX_NUM_BEAMS}; default 1, greedy",
    )


def _answers(
    options: argparse.Namespace,
    task: str,
    photos: Sequence[Path],
    hypothesis: str | None = None,
    premise: str | None = None,
    num_beams: int = 1,
) -> list[Answer]:
    predictor = load_predictor(options)
    exits = preset_exits(options.policy, task, predictor.info.depths)
    requests = []
    for path in photos:
        try:
            photo = decode_photo(path.read_bytes(), MAX_PIXELS)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        requests.append(
            predictor.request(task, photo, exits, hypothesis, premise, num_beams=num_beams)
        )
    return predictor.answer(requests)


def _caption(options: argparse.Namespace) -> None:
    answers = _answers(options, "caption", options.photos, num_beams=options.num_beams)
    reports = [
        {"photo": str(path), "caption": answer.text, **_report(answer, options.policy)}
        for path, answer in zip(options.photos, answers, strict=True)
    ]
    if options.json:
        print_json(reports[0] if len(reports) == 1 else reports)
        return
    for path, answer in zip(options.photos, answers, strict=True):
        print(f"{path}: {answer.text}\n{describe(answer)}")


def _entail(options: argparse.Namespace) -> None:
    (answer,) = _answers(
        options,
        "entailment",
        [options.photo],
        hypothesis=options.hypothesis,
        premise=options.premise,
    )
    report = {
        "photo": str(options.photo),
        "label": answer.text,
        "probabilities": answer.probabilities,
        **_report(answer, options.policy),
    }
    if options.json:
        print_json(report)
        return
    shares = ", ".join(f"{name} {share:.2f}" for name, share in answer.probabilities.items())
    print(f"{answer.text} ({shares})\n{describe(answer)}")


def _report(answer: Answer, policy: str) -> dict[str, Any]:
    return {"policy": policy, "trace": dataclasses.asdict(answer.trace)}


def describe(answer: Answer) -> str:
    """Where an answer left, in two lines."""
    encoder, cost = answer.trace.encoder, answer.trace.cost
    tokens = " ".join(
        f"{token.text or '[end]'}:{token.depth}" for token in answer.trace.decoder.tokens
    )
    return (
        f"  layers: image {encoder.image.depth}/{encoder.image.num_layers}, "
        f"text {encoder.text.depth}/{encoder.text.num_layers}, tokens {tokens}\n"
        f"  saved: layers {1 - cost.layers_run / cost.layers_full:.0%}, "
        f"FLOPs {1 - cost.flops / cost.flops_full:.0%} of full depth"
    )


def _evaluate(options: argparse.Namespace) -> None:
    predictor = load_predictor(options)
    exits = preset_exits(options.policy, options.task, predictor.info.depths)
    if options.task == TAGS:
        if options.num_beams > 1:
            raise InputError(
                f"num_beams: {options.num_beams} cannot be used with task {TAGS}, which decodes "
                "nothing; only 1 is allowed"
            )
        given = read_tag_examples(predictor, options.data, options.split, options.num_examples)
        tagged = evaluate_tags(predictor, options.split, given, options.policy, exits)
        _print_result(options, tagged)
        return
    examples = load_examples(options, predictor)
    result = evaluate(
        predictor,
        options.task,
        options.split,
        examples,
        options.policy,
        exits,
        options.num_beams,
    )
    _print_result(options, result)


def _benchmark(options: argparse.Namespace) -> None:
    names = options.policies.split(",")
    batch_sizes = split_numbers("--batch-sizes", options.batch_sizes)
    predictor = load_predictor(options)
    depths = predictor.info.depths
    policies = {name: preset_exits(name, options.task, depths) for name in names}
    examples = load_examples(options, predictor)
    _print_result(options, benchmark(predictor, options.task, examples, policies, batch_sizes))


def _train(options: argparse.Namespace) -> None:
    stages = [load_config(path, TrainConfig, options.overrides) for path in options.config]
    for path, config in zip(options.config, stages, strict=True):
        logger.info("%s: %d steps, into %s", path, config.num_steps, config.output_folder)
        trained = Trainer(config).run()
        suffix = "" if options.save_dtype == "float16" else f"-{options.save_dtype}"
        folder = config.output_folder / f"checkpoint{suffix}"
        dtype = SAVE_DTYPES[options.save_dtype]
        if trains_heads(config):
            save_heads(trained.model, config, folder, dtype)
        else:
            save_checkpoint(trained.model, trained.tokenizer, folder, dtype)
        print(folder)


def _prepare(options: argparse.Namespace) -> None:
    print_json(
        dataclasses.asdict(
            prepare(
                options.kind, options.source, options.target, allow_missing=options.allow_missing
            )
        )
    )


def _print_result(options: argparse.Namespace, result: Any) -> None:
    values = dataclasses.asdict(result)
    if options.json:
        print_json(values)
        return
    for row in values.get("rows", [values]):
        print("  ".join(f"{name}={_brief(value)}" for name, value in row.items()))


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} {_brief(part)}" for name, part in value.items()) + "}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
