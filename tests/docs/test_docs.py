"""What the documentation says exists, and what exists is in the documentation."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import AppSettings
from model_core.config import CatchUp, preset_names
from model_core.policies import POLICIES, ExitSite
from serve.settings import ServeSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGES = ("app", "serve", "model_core", "tools")
MODULES = sorted(
    str(path.relative_to(ROOT))
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)
SYMBOLS = ("B", "T", "D", "H", "V", "L", "K")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands_of_readme() -> list[str]:
    """The lines of the bash blocks, continued lines joined."""
    blocks = re.findall(r"```bash\n(.*?)```", read("README.md"), flags=re.DOTALL)
    text = "".join(blocks).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def words_after_settings(command: str) -> list[str]:
    words = shlex.split(command, comments=True)
    return words[next(i for i, word in enumerate(words) if "=" not in word) :]


def subcommands_of_readme() -> list[str]:
    found = (re.search(r"python -m model_core (\w+)", line) for line in commands_of_readme())
    return sorted({match[1] for match in found if match})


@pytest.mark.parametrize("kind", POLICIES)
def test_policy_kind_is_in_the_glossary(kind: str) -> None:
    assert f"`{kind}`" in read("docs/glossary.md")


@pytest.mark.parametrize("value", [*ExitSite, *CatchUp])
def test_exit_site_and_catch_up_rule_are_in_the_glossary(value: str) -> None:
    assert f"`{value}`" in read("docs/glossary.md")


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_symbol_of_a_shape_is_in_the_glossary(symbol: str) -> None:
    assert re.search(rf"^\| {symbol} \|", read("docs/glossary.md"), flags=re.MULTILINE)


@pytest.mark.parametrize("name", preset_names())
def test_preset_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in read("README.md")


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            "REDIS_URL" if name == "redis_url" else f"OFFRAMP_{name.upper()}"
            for settings in (ServeSettings, AppSettings)
            for name in settings.model_fields
        }
    ),
)
def test_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in read("docs/settings.md")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"`OFFRAMP_(\w+)`", read("docs/settings.md")))
    fields = {*ServeSettings.model_fields, *AppSettings.model_fields}
    assert documented <= {name.upper() for name in fields} | {"BIND"}


@pytest.mark.parametrize("module", MODULES)
def test_module_has_its_sentence_in_the_structure(module: str) -> None:
    assert f"`{module}`" in read("docs/structure.md")


def test_structure_names_no_module_that_does_not_exist() -> None:
    named = set(
        re.findall(r"`((?:app|serve|model_core|tools)/\S+\.py)`", read("docs/structure.md"))
    )
    assert sorted(named - set(MODULES)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def is_runnable(module: str) -> bool:
    """True for a package with a ``__main__``, and for a module."""
    found = importlib.util.find_spec(module)
    assert found is not None
    is_package = found.submodule_search_locations is not None
    return not is_package or importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("command", commands_of_readme())
def test_readme_names_only_commands_that_exist(command: str) -> None:
    name, *arguments = words_after_settings(command)
    if name == "make":
        targets = re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE)
        assert arguments[0] in targets
    elif name.endswith("python"):
        assert arguments[0] == "-m"
        assert is_runnable(arguments[1])
    else:
        assert name in {"curl", "docker", "git", "cd", "serve", "export"}


@pytest.mark.parametrize("subcommand", subcommands_of_readme())
def test_readme_names_only_subcommands_that_exist(subcommand: str) -> None:
    command = [sys.executable, "-m", "model_core", subcommand, "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_readme_shows_the_way_in() -> None:
    commands = commands_of_readme()
    for start in ("make demo", "make test", "python -m model_core caption", "curl "):
        assert any(start in command for command in commands), start
