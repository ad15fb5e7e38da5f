"""The command line, on the tiny checkpoint and a tiny data folder."""

import json
from pathlib import Path

import pytest

from model_core.__main__ import main
from tests.tiny import photo


@pytest.fixture
def photo_file(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    photo(3).save(path)
    return str(path)


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main([*arguments, "--json"]) == 0
    result: dict[str, object] = json.loads(capsys.readouterr().out)
    return result


def test_caption_prints_the_trace(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, photo_file: str
) -> None:
    result = run_json(
        capsys,
        "caption",
        photo_file,
        "--checkpoint",
        str(tiny_checkpoint),
        "--policy",
        "similarity",
    )
    trace = result["trace"]
    assert isinstance(trace, dict)
    assert set(trace) == {"schema_version", "encoder", "decoder", "cost"}
    assert set(trace["cost"]["stage_ms"]) == {"preprocess", "stem", "encode", "decode"}
    assert result["policy"] == "similarity"


def test_several_photos_give_a_list(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, photo_file: str
) -> None:
    arguments = ["caption", photo_file, photo_file, "--checkpoint", str(tiny_checkpoint), "--json"]
    assert main(arguments) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["caption"] == second["caption"]


def test_entail_prints_label_and_probabilities(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, photo_file: str
) -> None:
    result = run_json(
        capsys,
        "entail",
        photo_file,
        "--hypothesis",
        "a dog runs",
        "--checkpoint",
        str(tiny_checkpoint),
    )
    probabilities = result["probabilities"]
    assert isinstance(probabilities, dict)
    assert result["label"] in probabilities


@pytest.mark.parametrize("task", ["caption", "entailment"])
def test_evaluate_prints_one_object(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, data_folder: Path, task: str
) -> None:
    result = run_json(
        capsys,
        *("evaluate", "--task", task, "--split", "val", "--policy", "similarity"),
        *("--data", str(data_folder), "--checkpoint", str(tiny_checkpoint)),
    )
    assert result["num_examples"] == (6 if task == "caption" else 18)
    assert set(result) == {
        *("task", "split", "policy", "num_examples", "metrics", "saving", "mean_depth")
    }
    metrics = result["metrics"]
    assert isinstance(metrics, dict)
    expected = (
        {"cider", "bleu1", "bleu2", "bleu3", "bleu4"}
        if task == "caption"
        else {"accuracy", "recall_entailment", "recall_neutral", "recall_contradiction"}
    )
    assert set(metrics) == expected


def test_benchmark_prints_a_row_per_policy_and_batch_size(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, data_folder: Path
) -> None:
    result = run_json(
        capsys,
        *("benchmark", "--task", "caption", "--policies", "full,fast", "--batch-sizes", "1,3"),
        *("--num-examples", "6", "--data", str(data_folder), "--checkpoint", str(tiny_checkpoint)),
    )
    rows = result["rows"]
    assert isinstance(rows, list)
    assert [(row["policy"], row["batch_size"]) for row in rows] == [
        ("full", 1),
        ("fast", 1),
        ("full", 3),
        ("fast", 3),
    ]
    for row in rows:
        assert row["ms"]["p10"] <= row["ms"]["median"] <= row["ms"]["p90"]
        assert row["ms_without_stem"]["median"] < row["ms"]["median"]
    assert rows[0]["saving"] == {"layers": 0.0, "flops": 0.0, "wall": 0.0, "wall_without_stem": 0.0}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["caption", "nothing.jpg"], 1, "nothing.jpg"),
        (["caption", "{text}"], 1, "not an image"),
        (["caption", "{photo}", "--policy", "turbo"], 2, "policy 'turbo': unknown"),
        (["entail", "{photo}", "--hypothesis", " "], 1, "hypothesis: is empty"),
        (["evaluate", "--task", "caption", "--data", "{folder}"], 1, "captions.jsonl: not found"),
        (["train", "--config", "nothing.yaml"], 2, "nothing.yaml: cannot be read"),
        (
            ["benchmark", "--task", "caption", "--batch-sizes", "0"],
            2,
            "--batch-sizes '0': numbers by commas",
        ),
    ],
)
def test_wrong_use_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tiny_checkpoint: Path,
    tmp_path: Path,
    photo_file: str,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    names = {"{text}": str(text), "{photo}": photo_file, "{folder}": str(tmp_path)}
    filled = [names.get(argument, argument) for argument in arguments]
    if arguments[0] != "train":
        filled += ["--checkpoint", str(tiny_checkpoint)]
    assert main(filled) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err
