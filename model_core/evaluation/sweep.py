"""One task under many settings: quality with intervals, saving, depths, wall-clock.

Every finished point is on disk before the next begins, and a sweep that was stopped, or that is
asked for more families later, computes only what is missing. Quality needs the stem once; times
are measured afterwards, of chosen points, interleaved with full depth from the photo's bytes on.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation.benchmark import REFERENCE_POLICY, benchmark, conditions
from model_core.evaluation.evaluate import layers_without_text, mean_depth, saving
from model_core.evaluation.intervals import (
    MetricEstimate,
    MetricStatistics,
    estimate,
    metric_statistics,
)
from model_core.evaluation.metrics import variety
from model_core.evaluation.oracle import decoder_oracle, encoder_oracle
from model_core.evaluation.points import FULL, ORACLE, SweepPoint
from model_core.evaluation.results import (
    PointResult,
    PointTimes,
    SweepResults,
    current_commit,
    partial_path,
    read_results,
    write_results,
)
from model_core.evaluation.score_file import (
    empty_scores,
    read_scores,
    scores_path,
    write_scores,
)
from model_core.evaluation.timed_points import points_to_time
from model_core.evaluation.workload import Workload
from model_core.policies import ExitSite
from model_core.types import Answer

logger = logging.getLogger(__name__)

NUM_TIMED = 32
POINTS_PER_BENCHMARK = 8  # full depth is measured once with so many, and all are lost by a stop
REFERENCE = SweepPoint(FULL, FULL, ExitConfig())


class Sweep:
    """A sweep of one workload into one file."""

    def __init__(
        self,
        workload: Workload,
        points: Sequence[SweepPoint],
        path: Path,
        batch_sizes: Sequence[int] = (),
        has_oracle: bool = True,
        num_timed: int = NUM_TIMED,
        tuning: SweepResults | None = None,
    ) -> None:
        """Find what is already measured.

        Args:
            workload: Model, task, examples, stem features.
            points: Settings beside full depth.
            path: The file to write.
            batch_sizes: To measure times at; none leaves times out.
            has_oracle: True adds the oracle of each exit site.
            num_timed: Examples that times are measured on; at least the largest batch.
            tuning: A sweep of another split that says which points are worth their time.

        Raises:
            InputError: There are fewer examples than the largest batch.
        """
        self._workload, self._path, self._batch_sizes = workload, path, batch_sizes
        self._points = [REFERENCE, *points]
        self._sites = list(ExitSite) if has_oracle else []
        self._tuning = tuning
        self._timed = workload.examples[: max([num_timed, *batch_sizes])]
        if batch_sizes and len(self._timed) < max(batch_sizes):
            raise InputError(
                f"{len(self._timed)} examples are too few for a batch of {max(batch_sizes)}"
            )
        predictor = workload.predictor
        self._results = SweepResults(
            task=workload.task,
            split=workload.split,
            metric=workload.metric,
            has_constant_text=not predictor.info.tasks[workload.task].takes_text,
            num_examples=len(workload.examples),
            num_timed=len(self._timed) if batch_sizes else 0,
            conditions=conditions(predictor, workload.task, len(workload.examples)),
        )
        self._commit = current_commit()
        self._full_depth: dict[int, Mapping[str, MetricStatistics]] = {}  # by beams
        self._scores = empty_scores([example.image for example in workload.examples])
        self._resume()

    def _resume(self) -> None:
        for path in (partial_path(self._path), self._path):
            if not path.is_file():
                continue
            found = read_results(path)
            if found.is_of_the_same_run(self._results):
                self._results.points = found.points
                self._results.num_timed = max(found.num_timed, self._results.num_timed)
                self._scores = read_scores(scores_path(self._path)) or self._scores
                logger.info("%s: goes on after %d points", path, len(found.points))
                return
            logger.warning("%s: of another model or split; its points are not used", path)

    def run(self) -> SweepResults:
        """Measure what is missing; the file is complete afterwards."""
        for point in self._points:
            if self._results.find(f"{point.family}: {point.name}") is None:
                self._add(self._measure(point))
        for site in self._sites:
            if self._results.find(f"{ORACLE}: {site}") is None:
                self._add(self._measure_oracle(site))
        self._measure_times()
        write_results(self._results, self._path)
        partial_path(self._path).unlink(missing_ok=True)
        return self._results

    def _add(self, point: PointResult) -> None:
        self._results.points.append(point)
        self._save()
        headline = point.metrics[self._results.metric].value
        logger.info("%s  %s %.4f", point.key, self._results.metric, headline)

    def _save(self) -> None:
        write_scores(self._scores, scores_path(self._path))
        write_results(self._results, partial_path(self._path))

    def _full(self, num_beams: int) -> Mapping[str, MetricStatistics]:
        if num_beams not in self._full_depth:
            answers = self._workload.answer(ExitConfig(), "full depth", num_beams)
            self._full_depth[num_beams] = self._statistics(answers)
        return self._full_depth[num_beams]

    def _statistics(self, answers: Sequence[Answer]) -> Mapping[str, MetricStatistics]:
        workload = self._workload
        return metric_statistics(
            workload.predictor.info.tasks[workload.task],
            [answer.text for answer in answers],
            [example.references for example in workload.examples],
            [example.premise is not None for example in workload.examples],
        )

    def _estimates(
        self, given: Mapping[str, MetricStatistics], full: Mapping[str, MetricStatistics]
    ) -> dict[str, MetricEstimate]:
        weights = self._scores.weights
        return {name: estimate(given[name], of_full, weights) for name, of_full in full.items()}

    def _measure(self, point: SweepPoint) -> PointResult:
        key = f"{point.family}: {point.name}"
        answers = self._workload.answer(point.exits, key, point.num_beams)
        statistics = self._statistics(answers)
        if point.exits == ExitConfig():
            self._full_depth[point.num_beams] = statistics
        self._scores.of_points[key] = self._workload.scores(answers)
        has_words = not self._workload.has_labels
        return PointResult(
            family=point.family,
            name=point.name,
            exits=point.exits,
            num_beams=point.num_beams,
            metrics=self._estimates(statistics, self._full(point.num_beams)),
            variety=variety([answer.text for answer in answers]) if has_words else {},
            saving=saving(answers),
            layers_without_text=layers_without_text(answers),
            mean_depth=mean_depth(answers),
            commit=self._commit,
        )

    def _measure_oracle(self, site: ExitSite) -> PointResult:
        is_decoder = site is ExitSite.DECODER
        oracle = (
            decoder_oracle(self._workload) if is_decoder else encoder_oracle(self._workload, site)
        )
        return PointResult(
            family=ORACLE,
            name=site.value,
            exits=None,
            metrics=self._estimates(self._full(1), self._full(1)),
            saving=oracle.saving,
            layers_without_text=oracle.layers_without_text,
            mean_depth=oracle.mean_depth,
            commit=self._commit,
        )

    def _measure_times(self) -> None:
        wanted = set(self._batch_sizes)
        chosen = points_to_time(self._results, self._tuning)
        missing = [point for point in chosen if not wanted <= set(point.times)]
        for start in range(0, len(missing), POINTS_PER_BENCHMARK):
            self._time(missing[start : start + POINTS_PER_BENCHMARK])
            self._save()
            done = min(start + POINTS_PER_BENCHMARK, len(missing))
            logger.info("times of %d of %d points", done, len(missing))

    def _time(self, points: Sequence[PointResult]) -> None:
        # Under the reference's name full depth is not measured twice.
        by_name = {
            REFERENCE_POLICY if point.family == FULL else point.key: point for point in points
        }
        settings = {name: point.exits for name, point in by_name.items() if point.exits is not None}
        sizes = [
            size for size in self._batch_sizes if any(size not in point.times for point in points)
        ]
        measured = benchmark(
            self._workload.predictor, self._workload.task, self._timed, settings, sizes
        )
        for row in measured.rows:
            by_name[row.policy].times[row.batch_size] = PointTimes(
                row.ms, row.ms_without_stem, row.saving.wall, row.saving.wall_without_stem
            )
