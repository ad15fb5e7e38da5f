"""One task under many settings: quality with intervals, saving, depths, wall-clock.

Every finished point is on disk before the next begins, and a sweep that was stopped, or that is
asked for more families later, computes only what is missing. Quality needs the stem once; times
are measured afterwards, each setting interleaved with full depth from the photo's bytes on.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from model_core.config import ExitConfig
from model_core.errors import InputError
from model_core.evaluation.benchmark import REFERENCE_POLICY, benchmark, conditions
from model_core.evaluation.evaluate import mean_depth, saving
from model_core.evaluation.intervals import (
    MetricEstimate,
    MetricStatistics,
    estimate,
    metric_statistics,
)
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
from model_core.evaluation.statistics import resample_weights
from model_core.evaluation.workload import Workload
from model_core.policies import ExitSite
from model_core.types import Answer

logger = logging.getLogger(__name__)

NUM_TIMED = 64
POINTS_PER_BENCHMARK = 8  # full depth is measured once with so many, and all are lost by a stop
SEED = 0
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
    ) -> None:
        """Find what is already measured.

        Args:
            workload: Model, task, examples, stem features.
            points: Settings beside full depth.
            path: The file to write.
            batch_sizes: To measure times at; none leaves times out.
            has_oracle: True adds the oracle of each exit site.

        Raises:
            InputError: There are fewer examples than the largest batch.
        """
        self._workload, self._path, self._batch_sizes = workload, path, batch_sizes
        self._points = [REFERENCE, *points]
        self._sites = list(ExitSite) if has_oracle else []
        self._timed = workload.examples[: max([NUM_TIMED, *batch_sizes])]
        if batch_sizes and len(self._timed) < max(batch_sizes):
            raise InputError(
                f"{len(self._timed)} examples are too few for a batch of {max(batch_sizes)}"
            )
        predictor = workload.predictor
        self._results = SweepResults(
            task=workload.task,
            split=workload.split,
            metric=workload.metric,
            num_examples=len(workload.examples),
            num_timed=len(self._timed) if batch_sizes else 0,
            conditions=conditions(predictor, workload.task, len(workload.examples)),
        )
        self._commit = current_commit()
        self._resume()

    def _resume(self) -> None:
        for path in (partial_path(self._path), self._path):
            if not path.is_file():
                continue
            found = read_results(path)
            if found.is_of_the_same_run(self._results):
                self._results.points = found.points
                self._results.num_timed = max(found.num_timed, self._results.num_timed)
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
        write_results(self._results, partial_path(self._path))

    @cached_property
    def _full(self) -> Mapping[str, MetricStatistics]:
        return self._statistics(self._workload.answer(ExitConfig(), "full depth"))

    def _statistics(self, answers: Sequence[Answer]) -> Mapping[str, MetricStatistics]:
        workload = self._workload
        return metric_statistics(
            workload.predictor.info.tasks[workload.task],
            [answer.text for answer in answers],
            [example.references for example in workload.examples],
        )

    def _estimates(self, given: Mapping[str, MetricStatistics]) -> dict[str, MetricEstimate]:
        # Drawn anew from the seed: the same photos for every point, and for both sides of a pair.
        weights = resample_weights([example.image for example in self._workload.examples], SEED)
        return {name: estimate(given[name], full, weights) for name, full in self._full.items()}

    def _measure(self, point: SweepPoint) -> PointResult:
        answers = self._workload.answer(point.exits, f"{point.family}: {point.name}")
        return PointResult(
            family=point.family,
            name=point.name,
            exits=point.exits,
            metrics=self._estimates(self._statistics(answers)),
            saving=saving(answers),
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
            metrics=self._estimates(self._full),
            saving=oracle.saving,
            mean_depth=oracle.mean_depth,
            commit=self._commit,
        )

    def _measure_times(self) -> None:
        wanted = set(self._batch_sizes)
        missing = [
            point
            for point in self._results.points
            if point.exits is not None and not wanted <= set(point.times)
        ]
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
