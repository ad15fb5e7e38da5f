"""``prepare`` on small files in the official formats of Flickr8k, COCO and SNLI-VE."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from model_core.errors import InputError
from model_core.training.prepare import PrepareReport, prepare


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, content: Any) -> Path:
    return write(path, json.dumps(content))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def make_flickr8k(folder: Path) -> Path:
    """Two photos in train, one each in dev and test, one in no list (as in the real release)."""
    tokens = [
        f"{name}.jpg#{number}\tCaption {number} of {name} ."
        for name in ("a", "b", "c", "d", "e")
        for number in range(2)
    ]
    text = folder / "Flickr8k_text"
    write(text / "Flickr8k.token.txt", "\n".join(tokens) + "\n")
    write(text / "Flickr_8k.trainImages.txt", "a.jpg\nb.jpg\n")
    write(text / "Flickr_8k.devImages.txt", "c.jpg\n")
    write(text / "Flickr_8k.testImages.txt", "d.jpg\n")
    write(folder / "__MACOSX" / "Flicker8k_Dataset" / "._a.jpg", b"not a photo")
    for name in "abcde":
        write(folder / "Flicker8k_Dataset" / f"{name}.jpg", f"pixels of {name}")
    return folder


def make_coco_2017(folder: Path) -> Path:
    for split, ids in (("train", (1, 2)), ("val", (3,))):
        content = {
            "info": {"year": 2017},
            "images": [
                {"id": key, "file_name": f"{key:012}.jpg", "height": 480, "width": 640}
                for key in ids
            ],
            "annotations": [
                {"image_id": key, "id": 10 * key + number, "caption": f"A photo {key}.{number}\n"}
                for number in range(2)
                for key in ids
            ],
        }
        write_json(folder / "annotations" / f"captions_{split}2017.json", content)
        for key in ids:
            write(folder / f"{split}2017" / f"{key:012}.jpg", f"pixels of {key}")
    return folder


def make_karpathy(folder: Path) -> Path:
    images = []
    for key, split in enumerate(("train", "restval", "val", "test")):
        place = "train2014" if split == "train" else "val2014"
        sentence = {"raw": f"Photo of {split}.", "tokens": ["photo"], "sentid": key}
        image = {"filepath": place, "filename": f"{key}.jpg", "split": split, "cocoid": key}
        images.append({**image, "sentences": [sentence]})
        write(folder / place / f"{key}.jpg", f"pixels of {key}")
    write_json(folder / "dataset_coco.json", {"images": images, "dataset": "coco"})
    return folder


def snli_ve_row(image: str, label: str, number: int = 0) -> dict[str, Any]:
    return {
        "annotator_labels": [label],
        "captionID": f"{image}.jpg#{number}",
        "gold_label": label,
        "pairID": f"{image}.jpg#{number}r1",
        "sentence1": f"Premise of {image}.",
        "sentence2": f"Hypothesis {number} of {image}.",
        "Flickr30K_ID": image,
    }


def make_snli_ve(folder: Path) -> Path:
    rows = {
        "train": [snli_ve_row("11", "entailment"), snli_ve_row("11", "-", 1)],
        "dev": [snli_ve_row("22", "neutral")],
        "test": [snli_ve_row("33", "contradiction")],
    }
    for split, content in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in content)
        write(folder / f"snli_ve_{split}.jsonl", text)
    for image in ("11", "22", "33"):
        write(folder / "flickr30k-images" / f"{image}.jpg", f"pixels of {image}")
    return folder


MAKERS = {"flickr8k": make_flickr8k, "coco": make_coco_2017, "snli-ve": make_snli_ve}


def test_flickr8k_captions_follow_the_lists_of_splits(tmp_path: Path) -> None:
    report = prepare("flickr8k", make_flickr8k(tmp_path / "release"), tmp_path / "data")
    rows = read_rows(tmp_path / "data" / "captions.jsonl")
    assert [(row["image"], row["split"]) for row in rows] == [
        ("a.jpg", "train"),
        ("b.jpg", "train"),
        ("c.jpg", "val"),
        ("d.jpg", "test"),
    ]
    assert rows[0]["captions"] == ["Caption 0 of a .", "Caption 1 of a ."]
    assert report == PrepareReport(
        "flickr8k", 4, {"train": 2, "val": 1, "test": 1}, 8, {}, num_skipped_labels=0,
        num_missing_images=0,
    )  # fmt: skip


def test_photos_keep_their_bytes_and_photos_in_no_split_stay_away(tmp_path: Path) -> None:
    prepare("flickr8k", make_flickr8k(tmp_path / "release"), tmp_path / "data")
    images = tmp_path / "data" / "images"
    assert sorted(path.name for path in images.iterdir()) == [f"{name}.jpg" for name in "abcd"]
    assert (images / "a.jpg").read_text() == "pixels of a"


def test_photos_are_hard_links_where_the_file_system_allows(tmp_path: Path) -> None:
    source = make_flickr8k(tmp_path / "release")
    prepare("flickr8k", source, tmp_path / "data")
    original = source / "Flicker8k_Dataset" / "a.jpg"
    assert original.samefile(tmp_path / "data" / "images" / "a.jpg")


def test_photos_are_copied_where_hard_links_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("other file system")

    monkeypatch.setattr(os, "link", refuse)
    source = make_flickr8k(tmp_path / "release")
    prepare("flickr8k", source, tmp_path / "data")
    copy = tmp_path / "data" / "images" / "a.jpg"
    assert copy.read_text() == "pixels of a"
    assert not copy.samefile(source / "Flicker8k_Dataset" / "a.jpg")


def test_coco_2017_joins_captions_to_their_photo(tmp_path: Path) -> None:
    report = prepare("coco", make_coco_2017(tmp_path / "release"), tmp_path / "data")
    rows = read_rows(tmp_path / "data" / "captions.jsonl")
    assert rows == [
        {"image": "000000000001.jpg", "split": "train", "captions": ["A photo 1.0", "A photo 1.1"]},
        {"image": "000000000002.jpg", "split": "train", "captions": ["A photo 2.0", "A photo 2.1"]},
        {"image": "000000000003.jpg", "split": "val", "captions": ["A photo 3.0", "A photo 3.1"]},
    ]
    assert report.num_captioned == {"train": 2, "val": 1}


def test_karpathy_restval_belongs_to_train(tmp_path: Path) -> None:
    prepare("coco", make_karpathy(tmp_path / "release"), tmp_path / "data")
    rows = read_rows(tmp_path / "data" / "captions.jsonl")
    assert [row["split"] for row in rows] == ["train", "train", "val", "test"]
    assert rows[1]["captions"] == ["Photo of restval."]


def test_karpathy_is_preferred_to_the_official_split(tmp_path: Path) -> None:
    source = make_karpathy(make_coco_2017(tmp_path / "release"))
    assert prepare("coco", source, tmp_path / "data").num_captioned["test"] == 1


def test_snli_ve_writes_one_list_per_split(tmp_path: Path) -> None:
    prepare("snli-ve", make_snli_ve(tmp_path / "release"), tmp_path / "data")
    assert read_rows(tmp_path / "data" / "ve_val.jsonl") == [
        {
            "image": "22.jpg",
            "hypothesis": "Hypothesis 0 of 22.",
            "label": "neutral",
            "source": "snli-ve",
            "source_split": "dev",
            "premise_text": "Premise of 22.",
            "pair_id": "22.jpg#0r1",
            "split": "val",
        }
    ]
    assert len(read_rows(tmp_path / "data" / "ve_test.jsonl")) == 1
    assert not (tmp_path / "data" / "captions.jsonl").exists()


def test_snli_ve_pairs_without_agreement_are_left_out_and_counted(tmp_path: Path) -> None:
    report = prepare("snli-ve", make_snli_ve(tmp_path / "release"), tmp_path / "data")
    assert (report.num_skipped_labels, report.num_pairs) == (1, {"train": 1, "val": 1, "test": 1})


@pytest.mark.parametrize("kind", MAKERS)
def test_a_second_run_writes_the_same_and_leaves_no_partial_file(tmp_path: Path, kind: str) -> None:
    source, target = MAKERS[kind](tmp_path / "release"), tmp_path / "data"

    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in target.rglob("*") if path.is_file()}

    first_report = prepare(kind, source, target)
    first = content()
    assert prepare(kind, source, target) == first_report
    assert content() == first
    assert not [name for name in first if "/." in name.removeprefix(str(target))]


def test_a_photo_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    source = make_flickr8k(tmp_path / "release")
    write(tmp_path / "data" / "images" / "a.jpg", "pix")
    prepare("flickr8k", source, tmp_path / "data")
    assert (tmp_path / "data" / "images" / "a.jpg").read_text() == "pixels of a"


def test_missing_photos_are_refused_with_their_number(tmp_path: Path) -> None:
    source = make_flickr8k(tmp_path / "release")
    (source / "Flicker8k_Dataset" / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 4 photos are missing \(b\.jpg\)"):
        prepare("flickr8k", source, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_missing_photos_can_be_left_out(tmp_path: Path) -> None:
    source = make_flickr8k(tmp_path / "release")
    (source / "Flicker8k_Dataset" / "b.jpg").unlink()
    report = prepare("flickr8k", source, tmp_path / "data", allow_missing=True)
    rows = read_rows(tmp_path / "data" / "captions.jsonl")
    assert (report.num_missing_images, [row["image"] for row in rows]) == (
        1,
        ["a.jpg", "c.jpg", "d.jpg"],
    )


def test_a_release_without_any_photo_is_refused_even_when_missing_ones_are_allowed(
    tmp_path: Path,
) -> None:
    source = make_snli_ve(tmp_path / "release")
    for path in (source / "flickr30k-images").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="nothing is left to write"):
        prepare("snli-ve", source, tmp_path / "data", allow_missing=True)


def test_an_unknown_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'imagenet': unknown; use one of flickr8k, coco, snli-ve"):
        prepare("imagenet", tmp_path, tmp_path / "data")


def test_a_source_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        prepare("coco", tmp_path / "absent", tmp_path / "data")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("flickr8k", "holds no Flickr8k.token.txt"),
        ("coco", "holds neither dataset_coco.json nor"),
        ("snli-ve", r"holds no folder of photos \(flickr30k-images or flickr30k_images\)"),
    ],
)
def test_an_empty_source_is_refused_with_what_it_lacks(
    tmp_path: Path, kind: str, message: str
) -> None:
    (tmp_path / "release").mkdir()
    with pytest.raises(InputError, match=message):
        prepare(kind, tmp_path / "release", tmp_path / "data")


@pytest.mark.parametrize(
    ("file_name", "line", "message"),
    [
        (
            "Flickr8k.token.txt",
            "a.jpg#0 no tab",
            r"token\.txt:11: must look like 'photo.jpg#0<TAB>",
        ),
        ("Flickr8k.token.txt", "a.jpg\tno number", r"token\.txt:11: must look like"),
        ("Flickr_8k.devImages.txt", "z.jpg", r"devImages\.txt:2: z\.jpg has no caption"),
        ("Flickr_8k.devImages.txt", "a.jpg", r"devImages\.txt:2: a\.jpg was named before"),
        ("Flickr_8k.devImages.txt", "notes.txt", r"devImages\.txt:2: 'notes\.txt' must be a"),
        ("Flickr_8k.devImages.txt", "../a.jpg", r"devImages\.txt:2: '\.\./a\.jpg' must be a plain"),
    ],
)
def test_a_wrong_line_of_flickr8k_is_named(
    tmp_path: Path, file_name: str, line: str, message: str
) -> None:
    source = make_flickr8k(tmp_path / "release")
    with (source / "Flickr8k_text" / file_name).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=message):
        prepare("flickr8k", source, tmp_path / "data")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold_label": "maybe"}, r"dev\.jsonl:1: gold_label"),
        ({"sentence2": ""}, r"dev\.jsonl:1: sentence2"),
        ({"Flickr30K_ID": "../../etc/passwd"}, "must be a plain file name"),
        ({"Flickr30K_ID": "..\\up"}, "must be a plain file name"),
        ({"Flickr30K_ID": ".hidden"}, "must be a plain file name"),
    ],
)
def test_a_wrong_field_of_snli_ve_is_named(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    source = make_snli_ve(tmp_path / "release")
    row = snli_ve_row("22", "neutral") | change
    write_json(source / "snli_ve_dev.jsonl", row)
    with pytest.raises(InputError, match=message):
        prepare("snli-ve", source, tmp_path / "data")


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    source = make_snli_ve(tmp_path / "release")
    write(source / "snli_ve_test.jsonl", json.dumps(snli_ve_row("33", "neutral")) + "\n{cut off\n")
    with pytest.raises(InputError, match=r"snli_ve_test\.jsonl:2: .*Invalid JSON"):
        prepare("snli-ve", source, tmp_path / "data")


def test_a_file_that_is_no_text_is_named_with_the_line(tmp_path: Path) -> None:
    source = make_snli_ve(tmp_path / "release")
    good = json.dumps(snli_ve_row("33", "neutral")).encode()
    write(source / "snli_ve_test.jsonl", good + b"\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"snli_ve_test\.jsonl:2: is not UTF-8 text"):
        prepare("snli-ve", source, tmp_path / "data")


def test_a_caption_of_an_unknown_coco_photo_is_refused(tmp_path: Path) -> None:
    source = make_coco_2017(tmp_path / "release")
    path = source / "annotations" / "captions_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"].append({"image_id": 99, "id": 1, "caption": "Nothing."})
    write_json(path, content)
    with pytest.raises(InputError, match=r"annotations\[2\]: no image has the id 99"):
        prepare("coco", source, tmp_path / "data")


def test_a_coco_photo_without_captions_is_refused(tmp_path: Path) -> None:
    source = make_coco_2017(tmp_path / "release")
    path = source / "annotations" / "captions_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"] = [{"image_id": 3, "id": 1, "caption": "  "}]
    write_json(path, content)
    with pytest.raises(InputError, match=r"images\[0\]: 000000000003\.jpg has no caption"):
        prepare("coco", source, tmp_path / "data")


@pytest.mark.parametrize(
    ("field", "value"), [("filename", "../0.jpg"), ("filepath", ".."), ("filepath", "/etc")]
)
def test_a_karpathy_path_cannot_leave_the_release(tmp_path: Path, field: str, value: str) -> None:
    source = make_karpathy(tmp_path / "release")
    content = json.loads((source / "dataset_coco.json").read_text())
    content["images"][0][field] = value
    write_json(source / "dataset_coco.json", content)
    with pytest.raises(InputError, match=r"images\[0\]: .* must be a plain file name"):
        prepare("coco", source, tmp_path / "data")


def test_an_interrupted_list_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = make_flickr8k(tmp_path / "release"), tmp_path / "data"
    prepare("flickr8k", source, target)
    before = (target / "captions.jsonl").read_bytes()

    def stop(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("model_core.training.prepare.json.dumps", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare("flickr8k", source, target)
    assert (target / "captions.jsonl").read_bytes() == before
    assert sorted(path.name for path in target.iterdir()) == ["captions.jsonl", "images"]


def test_report_can_be_written_as_json(tmp_path: Path) -> None:
    report = prepare("snli-ve", make_snli_ve(tmp_path / "release"), tmp_path / "data")
    assert json.loads(json.dumps(dataclasses.asdict(report))) == {
        "kind": "snli-ve",
        "num_images": 3,
        "num_captioned": {},
        "num_captions": 0,
        "num_pairs": {"train": 1, "val": 1, "test": 1},
        "num_skipped_labels": 1,
        "num_missing_images": 0,
    }
