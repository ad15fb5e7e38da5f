"""A data folder of a few coloured photos, in the format that training and measurements read."""

import gzip
import json
from pathlib import Path

from tests.tiny import photo

SENTENCES = ["A dog runs on grass .", "Two people in snow .", "A cat on the grass"]
LABELS = ["entailment", "neutral", "contradiction"]


def write_data_folder(folder: Path, photos_per_split: int = 6) -> Path:
    """Write ``images/``, ``captions.jsonl`` and ``ve_<split>.jsonl``; returns the folder."""
    (folder / "images").mkdir(parents=True)
    captions = []
    for split in ("train", "val", "test"):
        pairs = []
        for number in range(photos_per_split):
            name = f"{split}{number}.png"
            photo(len(captions)).save(folder / "images" / name)
            captions.append({"image": name, "split": split, "captions": SENTENCES})
            for place, label in enumerate(LABELS):
                pair = {"image": name, "hypothesis": SENTENCES[place], "label": label}
                pairs.append(pair | ({"premise_text": "two people"} if place else {}))
        _write_lines(folder / f"ve_{split}.jsonl", pairs)
    _write_lines(folder / "captions.jsonl", captions)
    return folder


def write_text_folder(folder: Path) -> Path:
    """Write the two files of text alone; returns the folder."""
    folder.mkdir(parents=True)
    captions = [{"id": str(number), "captions": SENTENCES} for number in range(4)]
    pairs = [
        {"premise": SENTENCES[0], "hypothesis": SENTENCES[place], "label": label}
        for place, label in enumerate(LABELS)
    ]
    for name, rows in (("flickr30k_captions", captions), ("nli_text", pairs)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def _write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
