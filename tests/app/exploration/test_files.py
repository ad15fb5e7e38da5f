"""What a visitor takes home."""

import base64
import csv
import io
import re

import pytest
from arro3.core import DataType
from arro3.io import read_parquet
from PIL import Image

from app.exploration.files import csv_file, files_html, parquet_file, plot_file
from app.exploration.outcomes import Findings
from app.exploration.points import make_points


def test_csv_has_a_row_per_setting(findings: Findings) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_file(make_points(findings)).decode())))
    assert [row["setting"] for row in rows] == ["full depth", "decoder fixed_depth 2"]
    assert float(rows[1]["agreement"]) == 0.5
    assert rows[1]["family"] == "fixed depths"
    assert rows[1]["accuracy"] == ""


def test_parquet_has_the_same_columns_as_numbers(findings: Findings) -> None:
    table = read_parquet(io.BytesIO(parquet_file(make_points(findings)))).read_all()
    assert table["setting"].to_pylist() == ["full depth", "decoder fixed_depth 2"]
    assert table["ms"].to_pylist() == [50.0, 25.0]
    assert table["num_cached"].to_pylist() == [0, 1]
    assert table["accuracy"].to_pylist() == [None, None]
    assert table.schema.field("accuracy").type == DataType.float64()


def test_plot_is_drawn_as_png_and_svg(findings: Findings) -> None:
    points = make_points(findings)
    image = Image.open(io.BytesIO(plot_file(points, "layers", "agreement", "png")))
    image.load()
    assert image.size == (1120, 736)
    svg = plot_file(points, "layers", "agreement", "svg").decode()
    assert "layers saved (%)" in svg and "<svg" in svg


def test_links_hold_the_files(findings: Findings) -> None:
    points = make_points(findings)
    html = files_html(points, "layers", "CIDEr")
    assert re.findall(r'download="([^"]+)"', html) == [
        "offramp-explore.png",
        "offramp-explore.svg",
        "offramp-explore.csv",
        "offramp-explore.parquet",
    ]
    held = [base64.b64decode(data) for data in re.findall(r'base64,([^"]+)"', html)]
    assert held[2] == csv_file(points)
    assert [content[:4] for content in (held[0], held[3])] == [b"\x89PNG", b"PAR1"]


@pytest.mark.parametrize("quality", ["accuracy", "agreement"])
def test_plot_without_points_is_drawn_empty(findings: Findings, quality: str) -> None:
    assert b"<svg" in plot_file([], "layers", quality, "svg")
