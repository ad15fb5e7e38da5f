"""The photo a visitor gives, and example photographs from scikit-image's own wheel.

Nothing is downloaded and no photo is kept in this project. scikit-image fetches some of its
pictures from the network; the ones named here are files of the wheel, which a test checks.
"""

import shutil
from importlib.resources import files
from pathlib import Path

import gradio as gr
import skimage

from app.client import encode_photo
from app.errors import InputError

# File in skimage.data -> what it shows. Source and licence: skimage/data/_fetchers.py.
EXAMPLE_PHOTOS = {
    "chelsea.png": "cat",
    "coffee.png": "coffee",
    "astronaut.png": "astronaut",
    "rocket.jpg": "rocket",
    "motorcycle_left.png": "motorcycle",
}


def copy_examples(folder: Path) -> list[Path]:
    """Copy the example photos into ``folder`` and return their paths.

    Raises:
        FileNotFoundError: This scikit-image does not ship one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = files(skimage).joinpath("data")
    paths = []
    for name, subject in EXAMPLE_PHOTOS.items():
        target = folder / f"{subject}{Path(name).suffix}"
        with source.joinpath(name).open("rb") as photo, target.open("wb") as copy:
            shutil.copyfileobj(photo, copy)
        paths.append(target)
    return paths


def build_photo(task: str, examples: list[Path]) -> gr.Image:
    """The photo input of a tab with the examples below it."""
    photo = gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        label="Photo",
        height=320,
        elem_id=f"{task}-photo",
    )
    # Gradio opens the photo itself and answers a damaged one with a bare "Error"; the service has
    # a sentence for it, so the file goes there untouched.
    photo.preprocess = uploaded_path  # type: ignore[assignment]
    if examples:
        gr.Examples([[str(path)] for path in examples], photo, label="Examples")
    return photo


def uploaded_path(payload: gr.data_classes.FileData | None) -> str | None:
    """Where the uploaded file lies."""
    return payload.path if payload else None


def read_photo(path: str | None) -> str:
    """The photo as a request carries it.

    Raises:
        InputError: There is no photo.
    """
    if path is None:
        raise InputError("There is no photo yet: drop one in, paste it, or take an example.")
    return encode_photo(path)
