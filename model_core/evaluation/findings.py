"""Everything that a folder of results holds, read at once."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from model_core.config import describe_validation_error
from model_core.errors import InputError
from model_core.evaluation.conformal import ConformalReport
from model_core.evaluation.fixed_curve import MeasuredSweep
from model_core.evaluation.judgments import Judgments
from model_core.evaluation.results import (
    CONFORMAL,
    JUDGMENTS,
    RETRIEVAL,
    TAGS,
    TUNING,
    SweepResults,
    complete_results,
)
from model_core.evaluation.retrieval import RetrievalResults
from model_core.evaluation.score_file import read_scores, scores_path
from model_core.evaluation.tag_study import TagResults

Model = TypeVar("Model", bound=BaseModel)


class Findings(NamedTuple):
    """What was measured.

    Attributes:
        sweeps: By the names of their files.
        retrieval: None where it was not measured.
        judgments: None where the metrics were not compared with ratings.
        conformal: None where no prediction sets were measured.
        tags: None where no tags were measured.
        tuning: The same sweeps on the split that methods are tuned on, by the same names.
    """

    sweeps: Mapping[str, MeasuredSweep]
    retrieval: RetrievalResults | None = None
    judgments: Judgments | None = None
    conformal: ConformalReport | None = None
    tags: TagResults | None = None
    tuning: Mapping[str, SweepResults] = MappingProxyType({})


def read_findings(folder: Path) -> Findings:
    """The finished results of a folder.

    Raises:
        InputError: A file is not one of results.
    """
    sweeps = {
        name: MeasuredSweep(result, read_scores(scores_path(folder / f"{name}.json")))
        for name, result in complete_results(folder).items()
    }
    return Findings(
        sweeps,
        _read(folder / f"{RETRIEVAL}.json", RetrievalResults),
        _read(folder / f"{JUDGMENTS}.json", Judgments),
        _read(folder / f"{CONFORMAL}.json", ConformalReport),
        _read(folder / f"{TAGS}.json", TagResults),
        complete_results(folder / TUNING),
    )


def _read(path: Path, kind: type[Model]) -> Model | None:
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InputError(f"{path}: {describe_validation_error(error)}") from error
