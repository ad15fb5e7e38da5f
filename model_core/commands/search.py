"""The command ``search``: photos of a folder by what they show."""

import argparse
from pathlib import Path
from typing import Any

from model_core.commands.options import (
    add_model_command,
    add_policy,
    load_predictor,
    positive,
    print_json,
)
from model_core.config import preset_exits
from model_core.evaluation.metrics import mean
from model_core.photo_search import Found, search_photos
from model_core.request import EMBEDDING_TASK

DEFAULT_CACHE = Path("~/.cache/offramp/search")


def add_search(commands: Any) -> None:
    """``search``."""
    parser = add_model_command(
        commands,
        "search",
        "Photos of a folder that show what a sentence says; each is embedded once.",
        'search ~/photos "a dog in the snow" --top 5 --policy balanced',
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="photos; its subfolders count")
    parser.add_argument("text", metavar="TEXT", help="what the photo should show")
    parser.add_argument("--top", type=positive, default=10, help="how many to name; default 10")
    parser.add_argument(
        "--cache",
        type=Path,
        default=DEFAULT_CACHE,
        metavar="DIR",
        help=f"keep the photos' vectors here; default {DEFAULT_CACHE}",
    )
    add_policy(parser)
    parser.set_defaults(run=_search)


def _search(options: argparse.Namespace) -> None:
    predictor = load_predictor(options)
    exits = preset_exits(options.policy, EMBEDDING_TASK, predictor.info.depths)
    cache, folder = options.cache.expanduser(), options.folder.expanduser()
    found = search_photos(predictor, folder, options.text, exits, cache, options.top)
    num_layers = predictor.info.num_encoder_layers
    if options.json:
        print_json(_report(options, found, num_layers))
    else:
        print("\n".join(describe_search(found, num_layers)))


def _report(options: argparse.Namespace, found: Found, num_layers: int) -> dict[str, Any]:
    photos = found.photos
    return {
        "text": options.text,
        "policy": options.policy,
        "num_layers": num_layers,
        "text_depth": found.text_depth,
        "image_depth": mean(photos.embedded.depths),
        "num_photos": len(photos.names),
        "num_computed": photos.num_computed,
        "skipped": [one._asdict() for one in photos.skipped],
        "hits": [{**hit._asdict(), "path": str(hit.path)} for hit in found.hits],
    }


def describe_search(found: Found, num_layers: int) -> list[str]:
    """A line per hit, then what ran."""
    photos = found.photos
    lines = [
        f"{hit.rank:3d}  {hit.cosine:+.3f}  {hit.path}  ({hit.depth} layers)" for hit in found.hits
    ]
    kept = len(photos.names) - photos.num_computed
    lines.append(
        f"  layers: text {found.text_depth}/{num_layers}, "
        f"photos {mean(photos.embedded.depths):.1f}/{num_layers} on average; "
        f"photos: {photos.num_computed} embedded now, {kept} known before, "
        f"{len(photos.skipped)} left out"
    )
    return lines
