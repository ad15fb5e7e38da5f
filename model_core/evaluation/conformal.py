"""How far the probabilities of every exit can be trusted: calibration error and prediction sets.

A prediction set holds every label whose ``1 - p`` is at most a quantile that was taken on other
examples; it holds the right one at least as often as asked, whatever the model (arXiv 2310.09163
uses them per exit; split conformal prediction as in arXiv 2107.07511). The temperature is fitted on
the same other examples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_core.config import ExitConfig, FrozenConfig
from model_core.errors import InputError
from model_core.evaluation.workload import Workload
from model_core.policies import FixedDepthPolicy, NeverPolicy

NUM_BINS = 15
TEMPERATURES = np.geomspace(0.1, 10, 401)
SMALLEST = 1e-12


@dataclass(frozen=True)
class LabelProbabilities:
    """What an exit says of some examples.

    Attributes:
        probabilities: ``(N, C)``.
        labels: ``(N,)`` which of them is right.
    """

    probabilities: np.ndarray
    labels: np.ndarray

    @property
    def of_truth(self) -> np.ndarray:
        """``(N,)`` probability of the right label."""
        chosen: np.ndarray = self.probabilities[np.arange(len(self.labels)), self.labels]
        return chosen

    def at_temperature(self, temperature: float) -> "LabelProbabilities":
        """The same with logits divided by ``temperature``."""
        scaled = np.log(np.maximum(self.probabilities, SMALLEST)) / temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return LabelProbabilities(powers / powers.sum(axis=1, keepdims=True), self.labels)


class SetReport(FrozenConfig):
    """Prediction sets of one exit at one asked coverage.

    Attributes:
        asked: Share of examples whose set should hold the right label.
        coverage: Share whose set does.
        mean_size: Labels in a set.
    """

    asked: float
    coverage: float
    mean_size: float


class ExitReport(FrozenConfig):
    """What the probabilities of one exit are worth.

    Attributes:
        depth: Decoder layers run.
        accuracy: Of its first choice.
        temperature: That fits the other split best.
        ece: Expected calibration error as it is.
        ece_scaled: The same at that temperature.
        sets: By asked coverage.
    """

    depth: int
    accuracy: float
    temperature: float
    ece: float
    ece_scaled: float
    sets: tuple[SetReport, ...]


class ConformalReport(FrozenConfig):
    """Every exit of a task, fitted on one split and held against another."""

    task: str
    fitted_on: str
    split: str
    num_examples: int
    exits: tuple[ExitReport, ...]


def trust_of_exits(
    calibration: Workload, held_out: Workload, coverages: Sequence[float]
) -> ConformalReport:
    """Fit on one split, report on another, for every depth of the decoder.

    Raises:
        InputError: The task has no labels, or a coverage is not between 0 and 1.
    """
    if not calibration.has_labels:
        raise InputError(f"task: {calibration.task!r} does not answer with labels")
    for asked in coverages:
        if not 0 < asked < 1:
            raise InputError(f"coverage: {asked} must be above 0 and below 1")
    num_layers = calibration.predictor.info.num_decoder_layers
    reports = [
        _exit_report(depth, at_depth(calibration, depth), at_depth(held_out, depth), coverages)
        for depth in range(1, num_layers + 1)
    ]
    return ConformalReport(
        task=held_out.task,
        fitted_on=calibration.split,
        split=held_out.split,
        num_examples=len(held_out.examples),
        exits=tuple(reports),
    )


def _exit_report(
    depth: int,
    fitted: LabelProbabilities,
    tested: LabelProbabilities,
    coverages: Sequence[float],
) -> ExitReport:
    temperature = fit_temperature(fitted)
    scaled_fit, scaled = fitted.at_temperature(temperature), tested.at_temperature(temperature)
    sets = []
    for asked in coverages:
        is_in = scaled.probabilities >= 1 - conformal_quantile(1 - scaled_fit.of_truth, asked)
        hits = is_in[np.arange(len(scaled.labels)), scaled.labels]
        mean_size = float(is_in.sum(axis=1).mean())
        sets.append(SetReport(asked=asked, coverage=float(hits.mean()), mean_size=mean_size))
    correct = tested.probabilities.argmax(axis=1) == tested.labels
    return ExitReport(
        depth=depth,
        accuracy=float(correct.mean()),
        temperature=temperature,
        ece=expected_calibration_error(tested),
        ece_scaled=expected_calibration_error(scaled),
        sets=tuple(sets),
    )


def at_depth(workload: Workload, depth: int) -> LabelProbabilities:
    """What the decoder says of a workload's examples after ``depth`` layers."""
    is_full = depth == workload.predictor.info.num_decoder_layers
    policy = NeverPolicy() if is_full else FixedDepthPolicy(depth=depth)
    answers = workload.answer(ExitConfig(decoder=policy), f"depth {depth}")
    names = list(answers[0].probabilities)
    rows = [[answer.probabilities[name] for name in names] for answer in answers]
    labels = [names.index(example.references[0]) for example in workload.examples]
    return LabelProbabilities(np.array(rows), np.array(labels))


def conformal_quantile(scores: np.ndarray, coverage: float) -> float:
    """The ``ceil((n + 1) * coverage)``-th smallest of ``(n,)`` scores, else infinity."""
    rank = math.ceil((len(scores) + 1) * coverage)
    if rank > len(scores):
        return math.inf
    return float(np.sort(scores)[rank - 1])


def expected_calibration_error(given: LabelProbabilities) -> float:
    """Mean distance of confidence and accuracy over equal bins of confidence (arXiv 1706.04599)."""
    confidence = given.probabilities.max(axis=1)
    correct = given.probabilities.argmax(axis=1) == given.labels
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(correct))


def fit_temperature(given: LabelProbabilities) -> float:
    """The temperature of the grid at which the right labels are likeliest."""
    likelihoods = [
        np.log(np.maximum(given.at_temperature(value).of_truth, SMALLEST)).mean()
        for value in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmax(likelihoods))])
