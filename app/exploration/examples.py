"""What a sweep asks: photos, and a file that says what people answer to them.

The file is CSV with a header, or JSONL, one row per reference or per sentence to judge:

    photo       name of an uploaded photo
    caption     what a person wrote about it; rows may name the same photo (JSONL: also `captions`)
    hypothesis  a sentence to judge
    premise     what is known of the photo (optional)
    label       what a person judged (optional)

One file may serve both tasks; each takes the rows that have what it needs. An error names the line
and the field.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import InputError
from app.ranking import photo_name

CAPTION, ENTAILMENT = "caption", "entailment"
MAX_PHOTOS = 50
MAX_EXAMPLES = 200
MAX_FILE_BYTES = 1 << 20
FORMATS = (".csv", ".jsonl")


class Row(BaseModel):
    """One row of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    photo: str = Field(min_length=1, max_length=255)
    caption: str | None = Field(default=None, max_length=1000)
    captions: list[str] = Field(default_factory=list, max_length=20)
    hypothesis: str | None = Field(default=None, max_length=1000)
    premise: str | None = Field(default=None, max_length=1000)
    label: str | None = Field(default=None, max_length=100)

    @model_validator(mode="after")
    def _something_is_said(self) -> Self:
        if not (self.references or self.hypothesis):
            raise ValueError("a caption or a hypothesis is needed")
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """Captions that people wrote."""
        return tuple(text for text in (self.caption, *self.captions) if text)


@dataclass(frozen=True)
class Line:
    """A row with its place in the file, for errors."""

    number: int
    row: Row


@dataclass(frozen=True)
class Example:
    """One question about one photo.

    Attributes:
        path: Of the photo.
        name: What the visitor calls it.
        references: Captions that people wrote; empty when none are known.
        hypothesis: The sentence to judge; None for a caption.
        premise: What is known of the photo.
        label: What a person judged; None when that is not known.
    """

    path: str
    name: str
    references: tuple[str, ...] = ()
    hypothesis: str | None = None
    premise: str | None = None
    label: str | None = None


def read_examples(
    task: str,
    photos: Sequence[str],
    file: str | None,
    hypothesis: str,
    labels: Sequence[str],
) -> tuple[Example, ...]:
    """The questions of a sweep, in the order of the photos, or of the file's sentences.

    Args:
        task: Captions, or sentences to judge.
        photos: Paths.
        file: Path of the file of references or sentences, where there is one.
        hypothesis: Judged on every photo where there is no file.
        labels: That the model knows.

    Raises:
        InputError: Nothing to ask, too much of it, or a row that cannot be used.
    """
    if not photos:
        raise InputError("There are no photos yet: drop some in, or take the examples.")
    if len(photos) > MAX_PHOTOS:
        raise InputError(f"These are {len(photos)} photos; at most {MAX_PHOTOS} can be explored.")
    lines = read_lines(Path(file)) if file else ()
    places = match_photos(lines, photos)
    if task == CAPTION:
        return caption_examples(photos, lines, places)
    examples = (
        entailment_examples(lines, places, labels) if file else same_sentence(photos, hypothesis)
    )
    if len(examples) > MAX_EXAMPLES:
        raise InputError(f"The file has {len(examples)} sentences; at most {MAX_EXAMPLES} can be.")
    return examples


def caption_examples(
    photos: Sequence[str], lines: Sequence[Line], places: Sequence[str]
) -> tuple[Example, ...]:
    """Every photo once, with the references that the file has for it."""
    references: dict[str, list[str]] = {path: [] for path in photos}
    for line, path in zip(lines, places, strict=True):
        references[path] += line.row.references
    if lines and not any(references.values()):
        raise InputError("No row of the file has a `caption`; judge its sentences instead.")
    return tuple(
        Example(path, photo_name(path), references=tuple(texts))
        for path, texts in references.items()
    )


def entailment_examples(
    lines: Sequence[Line], places: Sequence[str], labels: Sequence[str]
) -> tuple[Example, ...]:
    """Every row that has a hypothesis."""
    examples = []
    for line, path in zip(lines, places, strict=True):
        row = line.row
        if not row.hypothesis:
            continue
        if row.label and row.label not in labels:
            raise at_line(line.number, "label", f"{row.label!r} is none of {', '.join(labels)}")
        examples.append(
            Example(
                path,
                photo_name(path),
                hypothesis=row.hypothesis,
                premise=row.premise or None,
                label=row.label or None,
            )
        )
    if not examples:
        raise InputError("No row of the file has a `hypothesis`; describe the photos instead.")
    return tuple(examples)


def same_sentence(photos: Sequence[str], hypothesis: str) -> tuple[Example, ...]:
    """One sentence, judged on every photo."""
    if not hypothesis.strip():
        raise InputError("Say which sentence to judge, or give a file with a `hypothesis` per row.")
    return tuple(Example(path, photo_name(path), hypothesis=hypothesis.strip()) for path in photos)


def match_photos(lines: Sequence[Line], photos: Sequence[str]) -> list[str]:
    """The path of each row's photo.

    Raises:
        InputError: A row names no uploaded photo, or a name that two of them have.
    """
    names = [plain_name(photo_name(path)) for path in photos]
    counts, paths = Counter(names), dict(zip(names, photos, strict=True))
    found = []
    for line in lines:
        name = plain_name(line.row.photo)
        if counts[name] == 0:
            raise at_line(line.number, "photo", f"{line.row.photo!r} is not among the photos")
        if counts[name] > 1:
            raise at_line(line.number, "photo", f"{counts[name]} photos are {line.row.photo!r}")
        found.append(paths[name])
    return found


def plain_name(name: str) -> str:
    """A file's name as it survives an upload, which drops some characters."""
    return re.sub(r"[^\w.]+", "", Path(name).name).casefold()


def read_lines(path: Path) -> tuple[Line, ...]:
    """The rows of a file.

    Raises:
        InputError: It is of another format, too large, empty, or a row cannot be read.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path.name} is neither {' nor '.join(FORMATS)}.")
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{path.name} has more than the {MAX_FILE_BYTES} bytes that are read.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not UTF-8: byte {error.start} cannot be read.") from error
    records = csv_records(text) if path.suffix.lower() == ".csv" else jsonl_records(text)
    lines = tuple(Line(number, parse_row(number, record)) for number, record in records)
    if not lines:
        raise InputError(f"{path.name} has no rows.")
    return lines


def csv_records(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and cells, empty ones left out."""
    reader = csv.DictReader(io.StringIO(text), restkey="", strict=True)
    try:
        for cells in reader:
            if "" in cells:
                raise at_line(reader.line_num, "row", "has more cells than there are columns")
            yield reader.line_num, {name.strip(): cell for name, cell in cells.items() if cell}
    except csv.Error as error:
        # The reader inside has counted the line that failed.
        raise at_line(reader.reader.line_num, "row", str(error)) from error


def jsonl_records(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects, empty lines left out."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise at_line(number, "row", f"is not JSON ({error})") from error
        if not isinstance(record, dict):
            raise at_line(number, "row", "is not a JSON object")
        yield number, record


def parse_row(number: int, record: dict[str, Any]) -> Row:
    """One row.

    Raises:
        InputError: A field is wrong, or unknown.
    """
    try:
        return Row.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "row"
        if first["type"] == "extra_forbidden":
            known = ", ".join(Row.model_fields)
            raise at_line(number, field, f"is no known field; known are {known}") from error
        raise at_line(number, field, first["msg"].removeprefix("Value error, ")) from error


def at_line(number: int, field: str, words: str) -> InputError:
    """An error with its place."""
    return InputError(f"Line {number} of the file, `{field}`: {words}.")
