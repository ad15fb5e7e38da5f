"""Photos and the file of references or sentences."""

from pathlib import Path

import pytest

from app.errors import InputError
from app.exploration.examples import (
    MAX_FILE_BYTES,
    MAX_PHOTOS,
    Example,
    plain_name,
    read_examples,
)

LABELS = ["entailment", "neutral", "contradiction"]
PHOTOS = ["/uploads/1/cat.png", "/uploads/2/my dog.jpg"]


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_csv_gives_every_photo_its_references(tmp_path: Path) -> None:
    file = write(tmp_path, "r.csv", 'photo,caption\ncat.png,A cat.\ncat.png,"One cat, here."\n')
    examples = read_examples("caption", PHOTOS, file, "", LABELS)
    assert [example.references for example in examples] == [("A cat.", "One cat, here."), ()]


def test_jsonl_takes_lists_of_captions(tmp_path: Path) -> None:
    file = write(tmp_path, "r.jsonl", '{"photo": "cat.png", "captions": ["A cat.", "Cat."]}\n\n')
    assert read_examples("caption", PHOTOS, file, "", LABELS)[0].references == ("A cat.", "Cat.")


def test_rows_with_a_hypothesis_become_questions(tmp_path: Path) -> None:
    text = (
        "photo,caption,hypothesis,premise,label\n"
        "cat.png,A cat.,,,\n"
        "cat.png,,An animal.,A cat sits.,entailment\n"
        "my dog.jpg,,A bird.,,\n"
    )
    examples = read_examples("entailment", PHOTOS, write(tmp_path, "r.csv", text), "", LABELS)
    assert examples == (
        Example(
            PHOTOS[0],
            "cat.png",
            hypothesis="An animal.",
            premise="A cat sits.",
            label="entailment",
        ),
        Example(PHOTOS[1], "my dog.jpg", hypothesis="A bird."),
    )


def test_one_sentence_is_judged_on_every_photo() -> None:
    examples = read_examples("entailment", PHOTOS, None, " An animal. ", LABELS)
    assert [example.hypothesis for example in examples] == ["An animal.", "An animal."]


def test_name_of_a_photo_survives_what_an_upload_drops() -> None:
    assert plain_name('My "dog"  (1).JPG') == plain_name("my dog 1.jpg") == "mydog1.jpg"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.csv", "photo,caption\nbird.png,A bird.\n", "Line 2 .*`photo`.*'bird.png' is not among"),
        ("r.csv", "photo,caption\ncat.png,\n", "Line 2 .*`row`.*caption or a hypothesis"),
        ("r.csv", "photo,text\ncat.png,A cat.\n", "Line 2 .*`text`.*no known field; known are"),
        ("r.csv", "photo,caption\ncat.png,A cat.,more\n", "Line 2 .*more cells"),
        ("r.csv", 'photo,caption\ncat.png,"A cat.\n', "Line 2 .*`row`"),
        ("r.csv", "photo,caption\n", "r.csv has no rows"),
        ("r.jsonl", '{"photo": "cat.png"\n', "Line 1 .*is not JSON"),
        ("r.jsonl", '\n["cat.png"]\n', "Line 2 .*is not a JSON object"),
        ("r.jsonl", '{"photo": 3, "caption": "A cat."}\n', "Line 1 .*`photo`.*valid string"),
        ("r.jsonl", '{"photo": "cat.png", "hypothesis": "A cat."}\n', "No row .*`caption`"),
        ("r.txt", "cat.png", "neither .csv nor .jsonl"),
    ],
)
def test_unusable_file_names_line_and_field(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_examples("caption", PHOTOS, write(tmp_path, name, text), "", LABELS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("photo,hypothesis,label\ncat.png,A cat.,yes\n", "Line 2 .*`label`.*'yes' is none of ent"),
        ("photo,caption\ncat.png,A cat.\n", "No row .*`hypothesis`"),
    ],
)
def test_unusable_sentences_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_examples("entailment", PHOTOS, write(tmp_path, "r.csv", text), "", LABELS)


def test_name_of_two_photos_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "r.csv", "photo,caption\ncat.png,A cat.\n")
    with pytest.raises(InputError, match="2 photos are 'cat"):
        read_examples("caption", ["/1/cat.png", "/2/cat.png"], file, "", LABELS)


def test_too_long_a_file_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "r.csv", "x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(InputError, match="more than the"):
        read_examples("caption", PHOTOS, file, "", LABELS)


def test_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("photo,caption\ncat.png,é\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8: byte 22"):
        read_examples("caption", PHOTOS, str(path), "", LABELS)


def test_no_photo_too_many_and_no_sentence_are_refused() -> None:
    with pytest.raises(InputError, match="no photos yet"):
        read_examples("caption", [], None, "", LABELS)
    with pytest.raises(InputError, match=f"{MAX_PHOTOS + 1} photos; at most {MAX_PHOTOS}"):
        read_examples("caption", ["a.png"] * (MAX_PHOTOS + 1), None, "", LABELS)
    with pytest.raises(InputError, match="which sentence to judge"):
        read_examples("entailment", PHOTOS, None, " ", LABELS)


def test_too_many_sentences_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "r.csv", "photo,hypothesis\n" + "cat.png,A cat.\n" * 201)
    with pytest.raises(InputError, match="201 sentences; at most 200"):
        read_examples("entailment", PHOTOS, file, "", LABELS)
