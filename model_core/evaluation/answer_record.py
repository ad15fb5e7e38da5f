"""Answers of many settings, kept on disk as they are made, so that a stopped study goes on.

A record holds what the answers said and what they ran, chunk by chunk: one line of JSON each, in a
file whose name depends on the model, its dtype and the examples. Scores are made of the texts when
they are asked for.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from model_core.config import ExitConfig
from model_core.evaluation.answer_counts import AnswerCounts, added_up
from model_core.evaluation.workload import Workload

logger = logging.getLogger(__name__)

CHUNK = 256  # examples


class ChunkRecord(BaseModel):
    """One line: the answers to ``CHUNK`` examples (the last chunk may be shorter)."""

    exits: ExitConfig
    chunk: int
    texts: list[str]
    parts: dict[str, float]
    totals: dict[str, float]


class RecordedAnswers(NamedTuple):
    """Texts in order, and what all of them ran."""

    texts: list[str]
    counts: AnswerCounts


class AnswerRecord:
    """The answers of one workload under any setting, each computed once."""

    def __init__(self, workload: Workload, folder: Path | None = None) -> None:
        """Read what is known; ``folder`` None keeps everything in memory alone."""
        self.workload = workload
        self._chunks: dict[tuple[ExitConfig, int], ChunkRecord] = {}
        self._path = None if folder is None else folder / f"answers-{_fingerprint(workload)}.jsonl"
        if self._path is not None and self._path.is_file():
            self._read(self._path)

    @property
    def num_examples(self) -> int:
        """Examples of the workload."""
        return len(self.workload.examples)

    def answers(self, exits: ExitConfig, label: str, limit: int | None = None) -> RecordedAnswers:
        """Answers to the first ``limit`` examples, rounded up to whole chunks; None means all."""
        wanted = min(self.num_examples, limit or self.num_examples)
        chunks = [self._chunk(exits, number, label) for number in range(-(-wanted // CHUNK))]
        counts = [AnswerCounts(chunk.parts, chunk.totals) for chunk in chunks]
        return RecordedAnswers([text for chunk in chunks for text in chunk.texts], added_up(counts))

    def _chunk(self, exits: ExitConfig, number: int, label: str) -> ChunkRecord:
        known = self._chunks.get((exits, number))
        if known is not None:
            return known
        examples = self.workload.examples[number * CHUNK : (number + 1) * CHUNK]
        answers = self.workload.answer(exits, label, examples=examples)
        counts = AnswerCounts.of(exits, answers)
        chunk = ChunkRecord(
            exits=exits,
            chunk=number,
            texts=[answer.text for answer in answers],
            parts=dict(counts.parts),
            totals=dict(counts.totals),
        )
        self._chunks[exits, number] = chunk
        self._append(chunk)
        return chunk

    def _append(self, chunk: ChunkRecord) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(chunk.model_dump_json() + "\n")

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):  # killed while it wrote: what follows begins a line of its own
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")
        for line in text.splitlines():
            try:
                chunk = ChunkRecord.model_validate_json(line)
            except ValidationError:
                logger.warning("%s: a line that is cut short is left out", path)
                continue
            self._chunks[chunk.exits, chunk.chunk] = chunk
        logger.info("%s: %d chunks of answers are known", path, len(self._chunks))


def _fingerprint(workload: Workload) -> str:
    info = workload.predictor.info
    facts: Mapping[str, object] = {
        "checkpoint": info.hash,
        "dtype": info.dtype,
        "preprocessing": info.preprocessing_version,
        "task": workload.task,
        "chunk": CHUNK,
        "examples": [
            (example.image.name, example.hypothesis, example.premise)
            for example in workload.examples
        ],
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
