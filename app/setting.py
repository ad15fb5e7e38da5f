"""A setting to run, and a comparison of several: what a link and a run file carry.

Owns the two models, their limits and the link's query. What a link brings in comes from strangers:
it is validated here like any other input.
"""

from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from app.errors import InputError
from app.presets import rules_words
from serve.rules import ExitRules
from serve.schemas import CompareRequest

LINK_PARAMETER = "comparison"
MAX_LINK_CHARS = 8000
MAX_SENTENCE_CHARS = 2000
FULL_DEPTH = "full"

PresetName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Sentence = Annotated[str, StringConstraints(max_length=MAX_SENTENCE_CHARS)]


class Setting(BaseModel):
    """A preset or rules of one's own, and the beams of the search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: PresetName | ExitRules
    num_beams: int = Field(default=1, ge=1, le=8)

    @property
    def name(self) -> str:
        """How the setting is called on the page."""
        base = self.policy if isinstance(self.policy, str) else rules_words(self.policy)
        return base if self.num_beams == 1 else f"{base}, {self.num_beams} beams"


class Plan(BaseModel):
    """One input under several settings; the photo is not part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    task: Literal["caption", "entailment"] = "caption"
    hypothesis: Sentence = ""
    premise: Sentence = ""
    settings: tuple[Setting, ...] = Field(min_length=2, max_length=4)

    @model_validator(mode="after")
    def _beams_are_of_captions(self) -> Self:
        if self.task != "caption" and any(each.num_beams > 1 for each in self.settings):
            raise ValueError("beams belong to captions; a label is one word")
        return self


TASKS = tuple(CompareRequest.model_json_schema()["properties"]["task"]["enum"])


def link_query(plan: Plan) -> str:
    """The query of a link that restores the plan, question mark and all."""
    text = plan.model_dump_json(exclude_defaults=True, exclude_none=True)
    return f"?{LINK_PARAMETER}={quote(text, safe='')}"


def plan_of_link(text: str) -> Plan:
    """The plan of a link's parameter.

    Raises:
        InputError: Too long, or no plan.
    """
    if len(text) > MAX_LINK_CHARS:
        raise InputError(
            f"This link's settings have {len(text)} characters; at most {MAX_LINK_CHARS} are read."
        )
    try:
        return Plan.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"The settings in this link cannot be read: {first_fault(error)}."
        ) from error


def first_fault(error: ValidationError) -> str:
    """Where the first fault of a document is, and what it is."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"`{place}`: {first['msg']}"
