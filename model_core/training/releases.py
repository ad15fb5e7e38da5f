"""The official releases of the data sets, read as their authors distribute them.

Owns the file formats of Flickr8k, COCO captions and SNLI-VE. A reader gives plain rows and says
where each photo lies; it opens no photo and writes nothing (``prepare.py`` does).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from model_core.config import describe_validation_error
from model_core.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
FLICKR8K_SPLIT_FILES = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
FLICKR8K_IMAGE_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images")
KARPATHY_SPLITS = {"train": "train", "restval": "train", "val": "val", "test": "test"}
SNLI_VE_FILES = {
    "train": "snli_ve_train.jsonl",
    "val": "snli_ve_dev.jsonl",
    "test": "snli_ve_test.jsonl",
}
NO_LABEL = "-"


@dataclass(frozen=True)
class CaptionRow:
    """One photo and what people wrote about it."""

    image: str
    split: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class PairRow:
    """One photo and one hypothesis with its label."""

    image: str
    split: str
    values: Mapping[str, str]


@dataclass
class Release:
    """What was read from an official release.

    Attributes:
        image_paths: Photo name -> where the release keeps it.
        captions: Rows of ``captions.jsonl``.
        pairs: Rows of ``ve_<split>.jsonl``.
        num_skipped_labels: Pairs whose annotators did not agree (``-``).
    """

    image_paths: dict[str, Path] = field(default_factory=dict)
    captions: list[CaptionRow] = field(default_factory=list)
    pairs: list[PairRow] = field(default_factory=list)
    num_skipped_labels: int = 0

    def without(self, missing: set[str]) -> "Release":
        """The same release with every row of a missing photo left out."""
        return Release(
            {name: path for name, path in self.image_paths.items() if name not in missing},
            [row for row in self.captions if row.image not in missing],
            [row for row in self.pairs if row.image not in missing],
            self.num_skipped_labels,
        )


def read_flickr8k(source: Path) -> Release:
    """Flickr8k: ``Flickr8k.token.txt``, the three lists of splits, and the folder of photos.

    Photos that stand in no list (a few dozen) are left out; ``dev`` is called ``val``.
    """
    captions = _flickr8k_captions(_find_file(source, "Flickr8k.token.txt"))
    folder = _find_folder(source, FLICKR8K_IMAGE_FOLDERS)
    release = Release()
    for split, file_name in FLICKR8K_SPLIT_FILES.items():
        path = _find_file(source, file_name)
        for where, line in _lines(path):
            name = _image_name(line.strip(), where)
            if name not in captions:
                raise InputError(f"{where}: {name} has no caption in Flickr8k.token.txt")
            _add_captions(release, folder / name, split, captions[name], where)
    return release


def read_coco(source: Path) -> Release:
    """COCO captions: Karpathy's ``dataset_coco.json`` when present, else the official files.

    Karpathy's ``restval`` belongs to ``train``. The official files of 2017 or 2014 have no
    captions for ``test``, so that split stays empty.
    """
    karpathy = _search(source, "dataset_coco.json")
    if karpathy is not None:
        return _read_karpathy(karpathy, source)
    for year in ("2017", "2014"):
        if _search(source, f"captions_train{year}.json") is not None:
            return _read_coco_year(source, year)
    raise InputError(
        f"{source}: holds neither dataset_coco.json nor annotations/captions_train2017.json "
        "or captions_train2014.json"
    )


def read_snli_ve(source: Path) -> Release:
    """SNLI-VE: three ``.jsonl`` files and the photos of Flickr30k; ``dev`` is called ``val``.

    Pairs on whose label the annotators did not agree (``-``) are left out and counted.
    """
    folder = _find_folder(source, ("flickr30k-images", "flickr30k_images"))
    release = Release()
    for split, file_name in SNLI_VE_FILES.items():
        path = _find_file(source, file_name)
        for where, line in _lines(path):
            row = _parse(SnliVeRow, line, where)
            if row.gold_label == NO_LABEL:
                release.num_skipped_labels += 1
                continue
            name = _image_name(f"{row.image_id}.jpg", where)
            release.image_paths[name] = folder / name
            release.pairs.append(PairRow(name, split, row.values(path.stem.rpartition("_")[2])))
    return release


RELEASES: Mapping[str, Callable[[Path], Release]] = {
    "flickr8k": read_flickr8k,
    "coco": read_coco,
    "snli-ve": read_snli_ve,
}


class SnliVeRow(BaseModel):
    """The fields of an official SNLI-VE row that we read."""

    image_id: str = Field(alias="Flickr30K_ID", coerce_numbers_to_str=True)
    gold_label: Literal["entailment", "neutral", "contradiction", "-"]
    premise: str = Field(alias="sentence1", min_length=1)
    hypothesis: str = Field(alias="sentence2", min_length=1)
    pair_id: str | None = Field(default=None, alias="pairID")

    def values(self, source_split: str) -> dict[str, str]:
        """The row's fields in our format, without the photo and the split."""
        values = {
            "hypothesis": _one_line(self.hypothesis),
            "label": self.gold_label,
            "source": "snli-ve",
            "source_split": source_split,
            "premise_text": _one_line(self.premise),
        }
        return values | ({"pair_id": self.pair_id} if self.pair_id else {})


class CocoImage(BaseModel):
    """A photo in an official COCO file."""

    id: int
    file_name: str


class CocoAnnotation(BaseModel):
    """A caption in an official COCO file."""

    image_id: int
    caption: str


class CocoFile(BaseModel):
    """``captions_<split><year>.json``."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation]


class KarpathySentence(BaseModel):
    """A caption in Karpathy's file."""

    raw: str


class KarpathyImage(BaseModel):
    """A photo in Karpathy's file."""

    filepath: str
    filename: str
    split: Literal["train", "restval", "val", "test"]
    sentences: list[KarpathySentence]


class KarpathyFile(BaseModel):
    """``dataset_coco.json``."""

    images: list[KarpathyImage]


AnyModel = TypeVar("AnyModel", bound=BaseModel)


def _flickr8k_captions(path: Path) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    for where, line in _lines(path):
        key, tab, text = line.partition("\t")
        name, mark, number = key.rpartition("#")
        if not (tab and mark and number.isdigit()):
            raise InputError(f"{where}: must look like 'photo.jpg#0<TAB>caption', got {line!r:.80}")
        captions.setdefault(name, []).append(text)
    return captions


def _read_karpathy(path: Path, source: Path) -> Release:
    release = Release()
    for index, image in enumerate(_parse(KarpathyFile, _read(path), str(path)).images):
        where = f"{path}: images[{index}]"
        name = _image_name(image.filename, where)
        folder = source / _plain_name(image.filepath, where)
        texts = [sentence.raw for sentence in image.sentences]
        _add_captions(release, folder / name, KARPATHY_SPLITS[image.split], texts, where)
    return release


def _read_coco_year(source: Path, year: str) -> Release:
    release = Release()
    for split in ("train", "val"):
        path = _find_file(source, f"captions_{split}{year}.json")
        content = _parse(CocoFile, _read(path), str(path))
        folder = _find_folder(source, (f"{split}{year}",))
        texts: dict[int, list[str]] = {image.id: [] for image in content.images}
        for index, annotation in enumerate(content.annotations):
            if annotation.image_id not in texts:
                raise InputError(
                    f"{path}: annotations[{index}]: no image has the id {annotation.image_id}"
                )
            texts[annotation.image_id].append(annotation.caption)
        for index, image in enumerate(content.images):
            where = f"{path}: images[{index}]"
            name = _image_name(image.file_name, where)
            _add_captions(release, folder / name, split, texts[image.id], where)
    return release


def _add_captions(
    release: Release, path: Path, split: str, texts: Iterable[str], where: str
) -> None:
    captions = tuple(text for text in map(_one_line, texts) if text)
    if not captions:
        raise InputError(f"{where}: {path.name} has no caption")
    if path.name in release.image_paths:
        raise InputError(f"{where}: {path.name} was named before; a photo stands in one split once")
    release.image_paths[path.name] = path
    release.captions.append(CaptionRow(path.name, split, captions))


def _search(source: Path, name: str) -> Path | None:
    """The file or folder of that name in the source or one level below it."""
    candidates = [source / name, *sorted(source.glob(f"*/{name}"))]
    found = (path for path in candidates if path.exists() and "__MACOSX" not in path.parts)
    return next(found, None)


def _find_file(source: Path, name: str) -> Path:
    path = _search(source, name)
    if path is None or not path.is_file():
        raise InputError(f"{source}: holds no {name}, neither itself nor one folder below")
    return path


def _find_folder(source: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        path = _search(source, name)
        if path is not None and path.is_dir():
            return path
    raise InputError(f"{source}: holds no folder of photos ({' or '.join(names)})")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: is not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """``(file:line, text)`` of every line that is not blank."""
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line


def _parse(model: type[AnyModel], text: str, where: str) -> AnyModel:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{where}: {describe_validation_error(error)}") from error


def _image_name(name: str, where: str) -> str:
    if Path(_plain_name(name, where)).suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(
            f"{where}: {name!r:.80} must be a {', '.join(sorted(IMAGE_SUFFIXES))} file"
        )
    return name


def _plain_name(name: str, where: str) -> str:
    """The name, refused when it could point outside its folder."""
    if not name or name.startswith(".") or any(mark in name for mark in "/\\\0"):
        raise InputError(f"{where}: {name!r:.80} must be a plain file name without a folder")
    return name


def _one_line(text: str) -> str:
    return " ".join(text.split())
