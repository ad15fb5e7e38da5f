"""What a measurement found, and the file that keeps the newest of each kind."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from serve.load.report import Frozen, Machine


class Check(Frozen):
    """One bar: a value against its limit.

    Attributes:
        what: What is measured, with its unit.
        value: What came out; None where it does not exist.
        limit: The bar.
        is_at_most: True where the value may not exceed the limit, False where it has to reach it.
    """

    what: str
    value: float | None
    limit: float
    is_at_most: bool

    @property
    def is_met(self) -> bool:
        """True when the bar holds."""
        if self.value is None:
            return False
        return self.value <= self.limit if self.is_at_most else self.value >= self.limit


class Record(Frozen):
    """One measurement.

    Attributes:
        name: Of the measurement.
        checks: Its bars.
        rows: What was measured, as a table: one dictionary of the same keys per row.
        conditions: How.
        machine: Where.
        commit: Of the code.
    """

    name: str
    checks: list[Check]
    rows: list[dict[str, float | int | str | None]]
    conditions: dict[str, Any]
    machine: Machine
    commit: str


_RECORDS = TypeAdapter(list[Record])


def read_records(path: Path) -> list[Record]:
    """Records of a file; none where there is no file.

    Raises:
        ValueError: It holds something else.
    """
    if not path.exists():
        return []
    return _RECORDS.validate_json(path.read_bytes())


def keep_records(path: Path, new: Sequence[Record], order: Sequence[str]) -> list[Record]:
    """Writes new records over those of the same names; all of them, in order."""
    found = {record.name: record for record in [*read_records(path), *new]}
    records = [found[name] for name in order if name in found]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_RECORDS.dump_python(records, mode="json"), indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return records
