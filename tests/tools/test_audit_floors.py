"""What presets are said to share with full depth."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tools.audit_floors import compare, main


def test_captions_are_compared_by_their_words() -> None:
    row = compare("fast", ["a dog runs", "a cat"], ["a dog runs", "a big cat sleeps"], None)
    assert (row.num_examples, row.same_fraction, row.right_fraction) == (2, 0.5, None)
    assert row.likeness == pytest.approx((1 + 2 * 2 / 6) / 2)
    assert row.likeness < row.likeness_high <= 1


def test_labels_are_compared_with_full_depth_and_with_people() -> None:
    given, full, people = ["yes", "no", "no"], ["yes", "no", "yes"], ["yes", "yes", "yes"]
    row = compare("fast", given, full, people)
    assert (row.same_fraction, row.likeness) == (2 / 3, 2 / 3)
    assert row.right_fraction == 1 / 3


def test_command_prints_presets_from_safe_to_cheap_and_what_to_hold_them_against(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    lines = []
    for number, shade in enumerate(range(0, 240, 30)):
        Image.new("RGB", (32, 32), (shade, 90, 200)).save(tmp_path / "images" / f"{number}.jpg")
        row = {"image": f"{number}.jpg", "split": "val", "captions": ["a dog"]}
        lines.append(json.dumps(row))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    main(["--task", "caption", "--data", str(tmp_path), "--checkpoint", str(tiny_checkpoint)])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ["full", "quality", "balanced", "fast", "first exits", "other example"]
    assert [row["name"] for row in rows] == names
    assert {row["num_examples"] for row in rows} == {8}
    assert rows[0]["same_fraction"] == 1
