"""The tree keeps the limits of its own style, and holds nothing that does not belong in it."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "serve", "model_core", "tools")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_FILE_BYTES = 64 * 2**20
NOT_OURS = {".git", ".venv", "runs", "artifacts", "build"}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def files_of_project() -> Iterator[Path]:
    """Files under version control, or all but the generated ones in an exported tree."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = [name for name in output.stdout.split("\0") if name]
    else:
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = [str(path) for path in found if not NOT_OURS & set(path.parts)]
    yield from (ROOT / name for name in names if (ROOT / name).is_file())


def is_test(node: ast.AST) -> bool:
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return is_function and node.name.startswith("test_")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_module_is_short_and_opens_with_a_docstring(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_functions_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    long = {
        node.name: lines
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.body[0].lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}


@pytest.mark.parametrize("package", ["app", "serve", "model_core"])
def test_package_opens_with_a_docstring_and_nothing_else(package: str) -> None:
    (statement,) = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
    assert isinstance(statement, ast.Expr)


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "__all__ =" in path.read_text("utf-8")], ids=relative
)
def test_all_names_what_the_module_holds(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_file_collects_at_least_one_test(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert any(is_test(node) for node in ast.walk(tree))


def test_no_name_of_ours_is_taken_by_ray_serve() -> None:
    wrong = re.compile(r"^\s*from ray import .*\bserve\b", flags=re.MULTILINE)
    assert [relative(path) for path in SOURCES if wrong.search(path.read_text("utf-8"))] == []


def test_no_file_is_larger_than_the_limit() -> None:
    large = [relative(path) for path in files_of_project() if path.stat().st_size > MAX_FILE_BYTES]
    assert large == []


def test_no_file_of_a_data_set_is_part_of_the_project() -> None:
    wrong = re.compile(
        r"(\d+_[0-9a-f]{10}\.jpe?g|COCO_\w+\.jpg|captions\w*\.jsonl|ve_\w+\.jsonl|\.token(\.txt)?)$"
    )
    assert [relative(path) for path in files_of_project() if wrong.search(path.name)] == []
