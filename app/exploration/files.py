"""What a visitor takes home: the plot as PNG and SVG, the table as CSV and parquet.

The plot on the page is drawn in the browser; its files are drawn here, in the same colours.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, get_args

from arro3.core import Array, DataType, Table
from arro3.io import write_parquet
from matplotlib.figure import Figure

from app.exploration.figure import FAMILY_MARKERS, scaled, titled
from app.exploration.grid import Family
from app.exploration.points import COSTS, QUALITIES, Point
from app.links import file_link_html

PLOT_MARKERS = {Family.SWEPT: "o", Family.FIXED: "s", Family.FULL: "*"}
DOTS_PER_INCH = 160
COLUMN_TYPES = {int: DataType.int64(), float: DataType.float64()}


def plot_file(points: Sequence[Point], cost: str, quality: str, kind: str) -> bytes:
    """The plot as a file of ``kind`` (png or svg)."""
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    across, upward = COSTS[cost], QUALITIES[quality]
    for family, marker in PLOT_MARKERS.items():
        shown = [
            point for point in points if point.family is family and upward.value(point) is not None
        ]
        if shown:
            axes.plot(
                [scaled(across, point) for point in shown],
                [scaled(upward, point) for point in shown],
                marker=marker,
                color=str(FAMILY_MARKERS[family]["color"]),
                linestyle=":" if family is not Family.FULL else "",
                markersize=13 if family is Family.FULL else 8,
                label=family.value,
            )
    axes.set_xlabel(titled(across))
    axes.set_ylabel(titled(upward))
    axes.grid(alpha=0.3)
    if points:
        axes.set_title(f"{points[0].num_examples} examples", fontsize=10, loc="right")
        axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=DOTS_PER_INCH)
    return content.getvalue()


def table_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The points as plain rows."""
    return [{**asdict(point), "family": point.family.value} for point in points]


def csv_file(points: Sequence[Point]) -> bytes:
    """The table as CSV."""
    text = io.StringIO(newline="")
    names = [column.name for column in fields(Point)]
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(table_rows(points))
    return text.getvalue().encode()


def parquet_file(points: Sequence[Point]) -> bytes:
    """The table as parquet."""
    rows = table_rows(points)
    columns = [
        Array([row[column.name] for row in rows], column_type(column.type))
        for column in fields(Point)
    ]
    table = Table.from_arrays(columns, names=[column.name for column in fields(Point)])
    content = io.BytesIO()
    write_parquet(table, content)
    return content.getvalue()


def column_type(annotation: Any) -> DataType:
    """The column's type: numbers as numbers, everything else as text."""
    kind = next(iter(get_args(annotation)), annotation)
    return COLUMN_TYPES.get(kind, DataType.utf8())


def files_html(points: Sequence[Point], cost: str, quality: str) -> str:
    """Links to all of them."""
    name = "offramp-explore"
    links = [
        file_link_html(f"Plot as {kind.upper()}", f"{name}.{kind}", media_type, content)
        for kind, media_type, content in (
            ("png", "image/png", plot_file(points, cost, quality, "png")),
            ("svg", "image/svg+xml", plot_file(points, cost, quality, "svg")),
        )
    ]
    links += [
        file_link_html("Table as CSV", f"{name}.csv", "text/csv", csv_file(points)),
        file_link_html(
            "Table as parquet",
            f"{name}.parquet",
            "application/vnd.apache.parquet",
            parquet_file(points),
        ),
    ]
    return f'<nav class="off-files" aria-label="Files">{" ".join(links)}</nav>'
