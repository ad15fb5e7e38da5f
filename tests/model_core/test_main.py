"""The command line, on the tiny checkpoint and a tiny data folder."""

import json
from pathlib import Path

import pytest

from model_core.__main__ import main
from model_core.config import load_preset
from model_core.evaluation.report import BEGIN, END
from model_core.policies import NeverPolicy
from tests.model_core.evaluation.invented import write_ratings
from tests.tiny import photo
from tests.tiny_tags import write_tagging_checkpoint


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
        "mue",
    )
    trace = result["trace"]
    assert isinstance(trace, dict)
    assert set(trace) == {"schema_version", "encoder", "decoder", "cost"}
    assert set(trace["cost"]["stage_ms"]) == {"preprocess", "stem", "encode", "decode"}
    assert result["policy"] == "mue"


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
        *("evaluate", "--task", task, "--split", "val", "--policy", "mue"),
        *("--data", str(data_folder), "--checkpoint", str(tiny_checkpoint)),
    )
    assert result["num_examples"] == (6 if task == "caption" else 18)
    assert set(result) == {
        *("task", "split", "policy", "num_beams"),
        *("num_examples", "metrics", "saving", "layers_without_text", "mean_depth"),
    }
    metrics = result["metrics"]
    assert isinstance(metrics, dict)
    expected = (
        {
            *("cider", "bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "mean_length"),
            *("distinct1", "distinct2", "distinct_captions"),
        }
        if task == "caption"
        else {"accuracy", "recall_entailment", "recall_neutral", "recall_contradiction"}
    )
    assert set(metrics) == expected


def test_beams_reach_the_search(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, data_folder: Path, photo_file: str
) -> None:
    checkpoint = ("--checkpoint", str(tiny_checkpoint))
    greedy = run_json(capsys, "caption", photo_file, *checkpoint)
    beams = run_json(capsys, "caption", photo_file, "--num-beams", "3", *checkpoint)
    assert isinstance(greedy["trace"], dict) and isinstance(beams["trace"], dict)
    assert beams["trace"]["cost"]["flops"] > greedy["trace"]["cost"]["flops"]
    data = ("--split", "val", "--data", str(data_folder))
    result = run_json(
        capsys, *("evaluate", "--task", "caption", "--num-beams", "3"), *data, *checkpoint
    )
    assert (result["num_beams"], result["num_examples"]) == (3, 6)
    arguments = ["evaluate", "--task", "entailment", "--num-beams", "2", *data, *checkpoint]
    assert main(arguments) == 1
    assert "num_beams: 2 cannot be used with task entailment" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "9", "many"])
def test_beams_out_of_range_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], photo_file: str, number: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["caption", photo_file, "--num-beams", number])
    assert caught.value.code == 2
    assert "argument --num-beams: invalid" in capsys.readouterr().err


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


def test_calibrate_prints_one_object_and_writes_a_preset_per_target(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    presets = [tmp_path / "careful.yaml", tmp_path / "bold.yaml"]
    result = run_json(
        capsys,
        *("calibrate", "--task", "entailment", "--target", "0.3,0.2", "--confidence", "0.6"),
        *("--cost", "layers", "--decoder-policies", "fixed_depth", "--encoder-policies", "never"),
        *("--num-search", "4", "--hold-out", "test", "--feature-cache", str(tmp_path / "kept")),
        *("--write", ",".join(str(path) for path in presets)),
        *("--data", str(data_folder), "--checkpoint", str(tiny_checkpoint)),
    )
    assert result["goal"] == {"targets": [0.3, 0.2], "confidence": 0.6, "cost": "layers"}
    parts = [result["search"], result["test"]]
    assert all(isinstance(part, dict) for part in parts)
    assert [(part["split"], part["num_photos"]) for part in parts] == [("train", 4), ("val", 6)]  # type: ignore[index]
    choices, held_out = result["choices"], result["held_out"]
    assert isinstance(choices, list) and isinstance(held_out, list)
    for choice, path in zip(choices, presets, strict=True):
        exits = load_preset(str(path)).for_task("entailment")
        assert exits.model_dump(mode="json") == choice["exits"]
        assert exits.image == exits.text == NeverPolicy()
        assert ("# entailment: held out on test" in path.read_text()) != choice["is_full_depth"]
    assert {item["split"] for item in held_out} == {"test", "test with premise"}
    assert len(list((tmp_path / "kept").glob("answers-*.jsonl"))) == 4


def test_sweep_and_report_fill_their_pages(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    pages = [tmp_path / name for name in ("README.md", "methods.md", "CARD.md")]
    for page in pages:
        page.write_text(f"{BEGIN}\n{END}\n")
    result = run_json(
        capsys,
        *("sweep", "--task", "entailment", "--with-premise", "--num-examples", "8"),
        *("--policies", "fixed_decoder,fast", "--batch-sizes", "2", "--num-timed", "5"),
        *("--out", str(folder)),
        *("--data", str(data_folder), "--checkpoint", str(tiny_checkpoint)),
    )
    points = result["points"]
    assert isinstance(points, list)
    assert [point["family"] for point in points] == [
        *("full", "fixed_decoder", "fixed_decoder", "fixed_decoder", "presets")
    ]
    assert [list(point["times"]) for point in points] == 5 * [["2"]]
    assert result["num_timed"] == 5
    assert result["split"] == "test with premise"
    options = zip(("--readme", "--methods", "--card"), map(str, pages), strict=True)
    assert (
        main(["report", "--results", str(folder), *(part for pair in options for part in pair)])
        == 0
    )
    assert capsys.readouterr().out.split() == [
        *(str(folder / "entailment-with-premise.svg"), str(folder / "quality-by-layers.svg")),
        *(f"{folder}.md", *map(str, pages)),
    ]
    readme, _, card = (page.read_text() for page in pages)
    assert "**Entailment, test with premise.** 8 examples" in readme
    assert "| entailment, test with premise, greedy | accuracy " in card


def test_judgments_need_no_model(
    capsys: pytest.CaptureFixture[str], data_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "captions.jsonl").write_text((data_folder / "captions.jsonl").read_text())
    write_ratings(folder)
    result = run_json(
        capsys, "judgments", "--data", str(folder), "--out", str(tmp_path / "results")
    )
    assert set(result) == {"experts", "crowd"}
    assert json.loads((tmp_path / "results" / "judgments.json").read_text()) == result
    assert main(["judgments", "--data", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("experts  cider: tau-c ")


def test_conformal_reports_every_exit(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    arguments = ["--data", str(data_folder), "--checkpoint", str(tiny_checkpoint)]
    arguments += ["--coverages", "0.5,0.6", "--fit-split", "train"]
    result = run_json(capsys, "conformal", *arguments, "--out", str(tmp_path))
    exits = result["exits"]
    assert isinstance(exits, list)
    assert [one["depth"] for one in exits] == [1, 2, 3, 4]
    assert [part["asked"] for part in exits[0]["sets"]] == [0.5, 0.6]
    assert json.loads((tmp_path / "conformal.json").read_text()) == result
    assert main(["conformal", *arguments]) == 0
    assert capsys.readouterr().out.startswith("depth 1: accuracy ")
    assert main(["conformal", *arguments[:4], "--coverages", "1.5"]) == 1
    assert "coverage: 1.5 must be above 0 and below 1" in capsys.readouterr().err


def test_retrieval_without_poolers_is_left_out_only_when_asked(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    arguments = ["retrieve", "--data", str(data_folder), "--checkpoint", str(tiny_checkpoint)]
    assert main([*arguments, "--out", str(tmp_path), "--if-possible"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert main(arguments) == 1
    assert "tiny has no poolers" in capsys.readouterr().err


def test_retrieval_prints_and_writes_every_setting(
    capsys: pytest.CaptureFixture[str], pooled_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    result = run_json(
        capsys,
        *("retrieve", "--policies", "full,fast", "--fixed-depths", "--out", str(tmp_path)),
        *("--data", str(data_folder), "--checkpoint", str(pooled_checkpoint)),
    )
    assert (result["num_photos"], result["num_captions"]) == (6, 18)
    points = result["points"]
    assert isinstance(points, list)
    assert [point["name"] for point in points] == ["full", "fast", "depth 1", "depth 2", "depth 3"]
    assert [point["image_depth"] for point in points[2:]] == [1, 2, 3]
    assert json.loads((tmp_path / "retrieval.json").read_text()) == result


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["caption", "nothing.jpg"], 1, "nothing.jpg"),
        (["caption", "{text}"], 1, "not an image"),
        (["caption", "{photo}", "--policy", "turbo"], 2, "policy 'turbo': unknown"),
        (["entail", "{photo}", "--hypothesis", " "], 1, "hypothesis: is empty"),
        (["evaluate", "--task", "caption", "--data", "{folder}"], 1, "captions.jsonl: not found"),
        (
            ["calibrate", "--task", "caption", "--target", "1"],
            2,
            "target: 1.0 must be above 0 and below 1",
        ),
        (
            ["calibrate", "--task", "caption", "--decoder-policies", "luck"],
            2,
            "--decoder-policies: 'luck' is not one of ",
        ),
        (["calibrate", "--task", "caption", "--write", "full"], 2, "preset name 'full'"),
        (["calibrate", "--task", "caption", "--target", "much"], 2, "--target 'much'"),
        (
            ["calibrate", "--task", "caption", "--target", "0.9,0.8", "--write", "fast"],
            2,
            "--write 'fast': 1 presets for 2 targets",
        ),
        (
            ["calibrate", "--task", "caption", "--hold-out", "val"],
            2,
            "--hold-out val: the settings are chosen on it",
        ),
        (["sweep", "--task", "caption", "--policies", "luck"], 2, "policy 'luck': unknown"),
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


def test_search_names_photos_and_what_ran(
    capsys: pytest.CaptureFixture[str], pooled_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        photo(number).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"broken")
    options = ("--checkpoint", str(pooled_checkpoint), "--cache", str(tmp_path / "cache"))
    result = run_json(capsys, "search", str(folder), "a dog", "--top", "2", *options)
    assert (result["text_depth"], result["image_depth"], result["num_layers"]) == (4, 4, 4)
    assert (result["num_photos"], result["num_computed"]) == (3, 3)
    skipped, hits = result["skipped"], result["hits"]
    assert isinstance(skipped, list) and isinstance(hits, list)
    assert [one["name"] for one in skipped] == ["broken.jpg"]
    assert [set(hit) for hit in hits] == [{"rank", "cosine", "path", "depth"}] * 2
    assert main(["search", str(folder), "a dog", *options]) == 0
    text = capsys.readouterr().out
    assert hits[0]["path"] in text.splitlines()[0]
    assert "layers: text 4/4, photos 4.0/4 on average" in text
    assert "0 embedded now, 3 known before, 1 left out" in text


def test_search_without_poolers_or_photos_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tiny_checkpoint: Path,
    pooled_checkpoint: Path,
    tmp_path: Path,
) -> None:
    command = ["search", str(tmp_path), "a dog", "--cache", str(tmp_path / "cache")]
    assert main([*command, "--checkpoint", str(tiny_checkpoint)]) == 1
    assert "tiny has no poolers" in capsys.readouterr().err
    assert main([*command, "--checkpoint", str(pooled_checkpoint)]) == 1
    assert "holds no photo" in capsys.readouterr().err


def test_tags_are_evaluated(
    capsys: pytest.CaptureFixture[str], tagging_checkpoint: Path, data_folder: Path
) -> None:
    arguments = ["evaluate", "--task", "tags", "--data", str(data_folder)]
    arguments += ["--checkpoint", str(tagging_checkpoint)]
    result = run_json(capsys, *arguments)
    assert (result["task"], result["num_examples"], result["mean_depth"]) == ("tags", 6, 4.0)
    # "grass" is the only word that two captions share, and every photo has it
    assert isinstance(result["metrics"], dict)
    assert result["metrics"]["map"] == 1.0
    assert main([*arguments, "--num-beams", "2"]) == 1
    assert "num_beams: 2 cannot be used with task tags" in capsys.readouterr().err


def test_tags_of_two_models_are_measured_under_every_setting(
    capsys: pytest.CaptureFixture[str],
    tagging_checkpoint: Path,
    pooled_checkpoint: Path,
    data_folder: Path,
    tmp_path: Path,
) -> None:
    arguments = ["tags", "--data", str(data_folder), "--checkpoint", str(tagging_checkpoint)]
    other = ["--compare", f"other={tagging_checkpoint}", "--batch-sizes", "", "--out"]
    result = run_json(capsys, *arguments, *other, str(tmp_path))
    assert json.loads((tmp_path / "tags.json").read_text()) == result
    assert isinstance(result["models"], dict)
    assert list(result["models"]) == ["heterogeneous", "other"]
    assert main([*arguments, "--batch-sizes", "2", "--num-timed", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("test: 6 photos, 5 words, 1.00 a photo")
    assert lines[1].startswith("heterogeneous: never")
    assert any(line.startswith("heterogeneous: fixed_depth 1") and " x2 " in line for line in lines)
    for compared, code, message in (
        (f"heterogeneous={tagging_checkpoint}", 2, "the name 'heterogeneous' is taken"),
        ("other", 2, "--compare 'other': must look like NAME=FOLDER"),
        (f"other={pooled_checkpoint}", 1, "task tags needs tag heads"),
    ):
        assert main([*arguments, "--compare", compared]) == code
        assert message in capsys.readouterr().err


def test_tag_heads_of_another_model_are_not_compared(
    capsys: pytest.CaptureFixture[str],
    tagging_checkpoint: Path,
    pooled_checkpoint: Path,
    data_folder: Path,
    tmp_path: Path,
) -> None:
    other = write_tagging_checkpoint(pooled_checkpoint, tmp_path / "other")
    arguments = ["tags", "--data", str(data_folder), "--checkpoint", str(tagging_checkpoint)]
    assert main([*arguments, "--compare", f"other={other}"]) == 1
    assert "has other weights than" in capsys.readouterr().err
