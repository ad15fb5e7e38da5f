"""Wall-clock of policies against full depth, measured interleaved in one run.

Every batch of photos runs under every policy in turn, so that a slow moment of the machine hits all
of them. Times are per example: from the photo's bytes to the answer, and of encoder
and decoder alone.
"""

import math
import platform
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from model_core.config import ExitConfig
from model_core.evaluation.evaluate import saving
from model_core.evaluation.examples import Example, Item, batches, make_request
from model_core.evaluation.metrics import relative_saving
from model_core.generate import Slots
from model_core.predictor import Predictor, answer_all
from model_core.types import Answer

REFERENCE_POLICY = "full"
MIN_BATCHES = 4  # of a size; the examples are gone through again until there are so many


@dataclass(frozen=True)
class Spread:
    """Milliseconds per example."""

    median: float
    p10: float
    p90: float


@dataclass(frozen=True)
class BenchmarkSaving:
    """Shares of full depth's cost that were saved, each measure by its name."""

    layers: float
    flops: float
    wall: float
    wall_without_stem: float


@dataclass(frozen=True)
class BenchmarkRow:
    """One policy at one batch size.

    Attributes:
        ms: From the photo's bytes to the answer.
        ms_without_stem: Encoder and decoder only.
    """

    policy: str
    batch_size: int
    ms: Spread
    ms_without_stem: Spread
    saving: BenchmarkSaving


@dataclass(frozen=True)
class Conditions:
    """What the times depend on."""

    task: str
    num_examples: int
    model: str
    checkpoint: str
    device: str
    dtype: str
    num_threads: int
    processor: str
    torch_version: str
    weights: str = "float32"  # files written before there was a choice do not name it


@dataclass(frozen=True)
class Benchmark:
    """What ``benchmark`` prints."""

    rows: list[BenchmarkRow]
    conditions: Conditions


@dataclass
class Samples:
    """Measurements of one policy at one batch size."""

    ms: list[float] = field(default_factory=list)
    ms_without_stem: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


def benchmark(
    predictor: Predictor,
    task: str,
    examples: Sequence[Example],
    policies: Mapping[str, ExitConfig],
    batch_sizes: Sequence[int],
) -> Benchmark:
    """Rows for every policy and batch size; ``full`` is measured too, as the reference.

    Raises:
        ValueError: There are fewer examples than the largest batch.
    """
    if len(examples) < max(batch_sizes):
        raise ValueError(f"{len(examples)} examples are too few for a batch of {max(batch_sizes)}")
    exits = {REFERENCE_POLICY: ExitConfig(), **policies}
    rows: list[BenchmarkRow] = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for size in batch_sizes:
            runs = whole_batches(examples, size)
            bar = progress.add_task(f"batch size {size}", total=len(runs))
            slots = predictor.new_slots(size)
            _run_batch(predictor, slots, task, runs[0], exits[REFERENCE_POLICY])  # warm-up
            samples: dict[str, Samples] = defaultdict(Samples)
            for number, batch in enumerate(runs):
                names = list(exits)
                first = number % len(names)
                for name in names[first:] + names[:first]:
                    _measure(samples[name], predictor, slots, task, batch, exits[name])
                progress.advance(bar)
            rows += [
                _row(name, size, samples[name], samples[REFERENCE_POLICY]) for name in policies
            ]
    return Benchmark(rows, conditions(predictor, task, len(examples)))


def whole_batches(examples: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Batches of one size, at least ``MIN_BATCHES`` of them: few examples come again."""
    count = len(examples) // size
    rounds = math.ceil(MIN_BATCHES / count)
    return list(batches(examples[: count * size], size)) * rounds


def _run_batch(
    predictor: Predictor,
    slots: Slots,
    task: str,
    batch: Sequence[Example],
    exits: ExitConfig,
) -> list[Answer]:
    return answer_all(slots, [make_request(predictor, task, item, exits) for item in batch])


def _measure(
    samples: Samples,
    predictor: Predictor,
    slots: Slots,
    task: str,
    batch: Sequence[Example],
    exits: ExitConfig,
) -> None:
    _synchronize(predictor)
    started = time.perf_counter()
    answers = _run_batch(predictor, slots, task, batch, exits)
    _synchronize(predictor)
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    stages = [answer.trace.cost.stage_ms for answer in answers]
    # The whole batch is admitted at once: encode is shared, decode ends with the longest answer.
    core_ms = stages[0].encode + max(stage.decode for stage in stages)
    samples.ms.append(elapsed_ms / len(batch))
    samples.ms_without_stem.append(core_ms / len(batch))
    samples.answers += answers


def _synchronize(predictor: Predictor) -> None:
    if torch.device(predictor.info.device).type == "cuda":
        torch.cuda.synchronize()


def _row(name: str, size: int, samples: Samples, reference: Samples) -> BenchmarkRow:
    ms, core = spread_of(samples.ms), spread_of(samples.ms_without_stem)
    counted = saving(samples.answers)
    return BenchmarkRow(
        name,
        size,
        ms,
        core,
        BenchmarkSaving(
            layers=counted.layers,
            flops=counted.flops,
            wall=relative_saving(ms.median, spread_of(reference.ms).median),
            wall_without_stem=relative_saving(
                core.median, spread_of(reference.ms_without_stem).median
            ),
        ),
    )


def spread_of(values: Sequence[float]) -> Spread:
    """Median and the percentiles 10 and 90."""
    low, median, high = np.percentile(values, [10, 50, 90]).tolist()
    return Spread(median=median, p10=low, p90=high)


def conditions(predictor: Predictor, task: str, num_examples: int) -> Conditions:
    """What is to be said beside every time."""
    info = predictor.info
    return Conditions(
        task=task,
        num_examples=num_examples,
        model=info.name,
        checkpoint=info.hash,
        device=info.device,
        dtype=info.dtype,
        num_threads=torch.get_num_threads(),
        processor=_processor(),
        torch_version=torch.__version__,
        weights=info.weights,
    )


def _processor() -> str:
    listed = Path("/proc/cpuinfo")  # Linux; ``platform`` knows the architecture alone there
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
