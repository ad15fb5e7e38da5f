"""Quality and saved work of one policy on one split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress

from model_core.config import ExitConfig
from model_core.evaluation.examples import Example, batches, make_request
from model_core.evaluation.metrics import caption_metrics, label_metrics, mean, relative_saving
from model_core.predictor import Predictor
from model_core.request import Request
from model_core.types import Answer

BATCH_SIZE = 64  # a third faster than 16 on two cores; no answer depends on it


@dataclass(frozen=True)
class Saving:
    """Shares of the full-depth cost that were saved: MuE's layer count, and operations."""

    layers: float
    flops: float


@dataclass(frozen=True)
class MeanDepth:
    """Mean layers run per example (image, text) and per token (decoder)."""

    image: float
    text: float
    decoder: float


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` prints.

    Attributes:
        layers_without_text: Layers saved when the text side is left out of MuE's formula.
    """

    task: str
    split: str
    policy: str
    num_beams: int
    num_examples: int
    metrics: dict[str, float]
    saving: Saving
    layers_without_text: float
    mean_depth: MeanDepth


def answer_examples(
    predictor: Predictor,
    task: str,
    examples: Sequence[Example],
    exits: ExitConfig,
    num_beams: int = 1,
) -> list[Answer]:
    """Answers in order; ``num_beams`` holds for each request."""
    return answer_in_batches(
        examples,
        lambda item: make_request(predictor, task, item, exits, num_beams=num_beams),
        predictor.answer,
        f"{task} examples",
    )


def answer_in_batches(
    examples: Sequence[Example],
    make: Callable[[Example], Request],
    answer: Callable[[Sequence[Request]], list[Answer]],
    label: str,
) -> list[Answer]:
    """Answers in order, ``BATCH_SIZE`` requests at a time; a bar on stderr if it is a terminal."""
    answers: list[Answer] = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(label, total=len(examples))
        for batch in batches(examples, BATCH_SIZE):
            answers += answer([make(item) for item in batch])
            progress.update(bar, completed=len(answers))
    return answers


def evaluate(
    predictor: Predictor,
    task: str,
    split: str,
    examples: Sequence[Example],
    policy: str,
    exits: ExitConfig,
    num_beams: int = 1,
) -> Evaluation:
    """Metrics, saving and depths of ``exits`` (named ``policy``) on ``examples``."""
    answers = answer_examples(predictor, task, examples, exits, num_beams=num_beams)
    return Evaluation(
        task=task,
        split=split,
        policy=policy,
        num_beams=num_beams,
        num_examples=len(answers),
        metrics=task_metrics(predictor, task, examples, answers),
        saving=saving(answers),
        layers_without_text=layers_without_text(answers),
        mean_depth=mean_depth(answers),
    )


def task_metrics(
    predictor: Predictor, task: str, examples: Sequence[Example], answers: Sequence[Answer]
) -> dict[str, float]:
    """The metrics that the task's configuration asks for."""
    config = predictor.info.tasks[task]
    texts = [answer.text for answer in answers]
    if config.metric == "caption":
        return caption_metrics(texts, [example.references for example in examples])
    expected = [example.references[0] for example in examples]
    has_premise = [example.premise is not None for example in examples]
    return label_metrics(texts, expected, list(config.allowed_outputs), has_premise)


def saving(answers: Sequence[Answer]) -> Saving:
    """Layers by MuE's formula (arXiv 2211.11152), and operations, over all answers."""
    costs = [answer.trace.cost for answer in answers]
    return Saving(
        layers=relative_saving(
            sum(cost.layers_run for cost in costs), sum(cost.layers_full for cost in costs)
        ),
        flops=relative_saving(
            sum(cost.flops for cost in costs), sum(cost.flops_full for cost in costs)
        ),
    )


def layers_without_text(answers: Sequence[Answer]) -> float:
    """Layers saved with the image alone as the encoder's term of MuE's formula.

    For tasks whose text side is a constant instruction: its layers run once per model, but the
    formula charges its depth like that of any text.
    """
    run = full = 0.0
    for answer in answers:
        image, decoder = answer.trace.encoder.image, answer.trace.decoder
        run += image.depth + mean([token.depth for token in decoder.tokens])
        full += image.num_layers + decoder.num_layers
    return relative_saving(run, full)


def mean_depth(answers: Sequence[Answer]) -> MeanDepth:
    """Mean exit depths."""
    return MeanDepth(
        image=mean([answer.trace.encoder.image.depth for answer in answers]),
        text=mean([answer.trace.encoder.text.depth for answer in answers]),
        decoder=mean([token.depth for answer in answers for token in answer.trace.decoder.tokens]),
    )
