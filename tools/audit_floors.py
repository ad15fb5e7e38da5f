"""How often presets agree with full depth, so that the floors of audits can be chosen.

Two rows stand beside the presets: every site leaving at its first exit, which a floor should
catch where it harms, and the answer to another example, which is what chance gives.

    python -m tools.audit_floors --task entailment --num-examples 300
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from model_core.checkpoint import default_checkpoint
from model_core.commands.options import add_examples, load_examples, positive
from model_core.config import ExitConfig, load_preset
from model_core.evaluation.examples import Example, make_request
from model_core.evaluation.features import stem_features
from model_core.policies import SimilarityPolicy
from model_core.predictor import Predictor
from serve.policies.preset_order import FULL_PRESET, PRESET_ORDER
from serve.steering.agreement import compare_captions, compare_labels, upper_bound

FIRST_EXITS = "first exits"
OTHER_EXAMPLE = "other example"
SHIFT = 7  # captions and pairs of one photo stand next to each other


class Row(NamedTuple):
    """Answers beside full depth's.

    Attributes:
        name: Whose answers.
        num_examples: How many there are.
        same_fraction: Share of the very same words or label.
        likeness: What audits judge by: the words' F1, or equal labels.
        likeness_high: Upper bound of the true mean.
        right_fraction: Share of labels that people gave too; None for captions.
    """

    name: str
    num_examples: int
    same_fraction: float
    likeness: float
    likeness_high: float
    right_fraction: float | None


def measure(predictor: Predictor, task: str, examples: Sequence[Example]) -> Iterator[Row]:
    """A row per preset, safest first, then those of the first exits and of other examples."""
    features = stem_features(predictor, examples)

    def texts(exits: ExitConfig) -> list[str]:
        requests = [make_request(predictor, task, one, exits, features) for one in examples]
        return [answer.text for answer in predictor.answer(requests)]

    full = texts(ExitConfig())
    depths = predictor.info.depths
    labels = (
        [one.references[0] for one in examples]
        if predictor.info.tasks[task].allowed_outputs
        else None
    )
    yield compare(FULL_PRESET, full, full, labels)
    for name in PRESET_ORDER[1:]:
        yield compare(name, texts(load_preset(name).for_task(task).within(depths)), full, labels)
    leave = SimilarityPolicy(threshold=-1.0)
    first = ExitConfig(image=leave, text=leave, decoder=leave)
    yield compare(FIRST_EXITS, texts(first), full, labels)
    yield compare(OTHER_EXAMPLE, full[SHIFT:] + full[:SHIFT], full, labels)


def compare(
    name: str, given: Sequence[str], full: Sequence[str], labels: Sequence[str] | None
) -> Row:
    """One row.

    Args:
        name: Whose answers these are.
        given: Its answers.
        full: Full depth's, in the same order.
        labels: What people answered; None for captions.
    """
    judge = compare_captions if labels is None else compare_labels
    found = [judge(ours, theirs) for ours, theirs in zip(given, full, strict=True)]
    likeness = [one.likeness for one in found]
    return Row(
        name,
        len(found),
        sum(one.is_same for one in found) / len(found),
        sum(likeness) / len(found),
        upper_bound(likeness),
        None if labels is None else sum(map(str.__eq__, given, labels)) / len(found),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON object per row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_examples(parser, split="val")
    parser.add_argument("--checkpoint", type=Path, default=default_checkpoint(), metavar="FOLDER")
    parser.add_argument("--num-threads", type=positive, default=1)
    options = parser.parse_args(arguments)
    predictor = Predictor.load(options.checkpoint, num_threads=options.num_threads)
    for row in measure(predictor, options.task, load_examples(options, predictor)):
        shown = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in row._asdict().items()
        }
        print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
