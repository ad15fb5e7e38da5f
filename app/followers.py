"""Controls that follow the service's presets: what they show when the service has new ones.

Each says which components it reads and which it fills, so that the head of the page can refresh all
of them in one event without knowing any.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from serve.schemas import PoliciesReport


@dataclass(frozen=True)
class Follower:
    """Controls of one tab.

    Attributes:
        inputs: What the visitor has chosen.
        outputs: What is filled.
        update: From the presets and the values of ``inputs`` to those of ``outputs``.
    """

    inputs: list[gr.components.Component]
    outputs: list[gr.components.Component]
    update: Callable[[PoliciesReport, Sequence[Any]], Sequence[Any]]


def all_updates(
    followers: Sequence[Follower], report: PoliciesReport, values: Sequence[Any]
) -> list[Any]:
    """Values of the outputs of all followers, in order, given those of all their inputs."""
    rest: Iterator[Any] = iter(values)
    updates: list[Any] = []
    for follower in followers:
        updates += follower.update(report, [next(rest) for _ in follower.inputs])
    return updates
