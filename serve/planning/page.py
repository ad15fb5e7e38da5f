"""The file of a capacity study, and the page whose tables are made of it."""

import re
from pathlib import Path

from pydantic import Field

from serve.load.report import Frozen
from serve.planning.costs import Costs
from serve.planning.tables import comparison_table, costs_table
from serve.planning.validate import Comparison

BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", flags=re.DOTALL)
NOT_YET = "Not measured yet."


class CapacityFile(Frozen):
    """Costs, and what was found with them.

    Attributes:
        costs: As measured.
        comparisons: With replicas that ran.
        plan_words: What was planned for.
        plan_table: The plan, as a table.
    """

    costs: Costs
    comparisons: list[Comparison] = Field(default_factory=list)
    plan_words: str = ""
    plan_table: str = ""

    def with_plan(self, words: str, table: str) -> "CapacityFile":
        """The same with another plan."""
        return self.model_copy(update={"plan_words": words, "plan_table": table})

    def with_comparisons(self, costs: Costs, comparisons: list[Comparison]) -> "CapacityFile":
        """The same with other comparisons, and the costs that they were made with."""
        return self.model_copy(update={"costs": costs, "comparisons": comparisons})

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_capacity(path: Path) -> CapacityFile:
    """A file that ``write`` wrote.

    Raises:
        ValueError: It cannot be read, or is something else.
    """
    try:
        return CapacityFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}); make it with "
            "python -m serve.capacity measure"
        ) from error


def filled(text: str, file: CapacityFile) -> str:
    """A page with its blocks ``costs``, ``comparisons`` and ``plan`` made anew.

    Raises:
        ValueError: It has a block of another name.
    """
    blocks = {
        "costs": _costs_block(file.costs),
        "comparisons": comparison_table(file.comparisons) if file.comparisons else NOT_YET,
        "plan": f"{file.plan_words}:\n\n{file.plan_table}" if file.plan_table else NOT_YET,
    }

    def replace(match: re.Match[str]) -> str:
        if match[2] not in blocks:
            raise ValueError(f"block {match[2]!r} must be one of {', '.join(blocks)}")
        return f"{match[1]}{blocks[match[2]]}\n{match[3]}"

    return BLOCK.sub(replace, text)


def fill_page(path: Path, file: CapacityFile) -> None:
    """Writes the page with its blocks made anew."""
    path.write_text(filled(path.read_text(encoding="utf-8"), file), encoding="utf-8")


def _costs_block(costs: Costs) -> str:
    machine = costs.machine
    where = "" if machine is None else f"{machine.processor}, {machine.num_cores} cores, "
    return f"{costs_table(costs)}\n\nPreset `{costs.policy}`; {where}commit `{costs.commit}`."
