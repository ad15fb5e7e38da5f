"""The Makefile: what the README promises exists, and settings reach the commands."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("setup", "demo", "test", "check", "train", "soak", "bench")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def run_make(*arguments: str, **environment: str) -> str:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    result = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout


def test_make_alone_lists_every_target() -> None:
    listed = re.findall(r"^  make (\S+)", run_make(), flags=re.MULTILINE)
    assert set(TARGETS) <= set(listed)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_makes_the_environment_first(target: str) -> None:
    commands = run_make("--dry-run", "--always-make", target)
    assert "-m venv .venv" in commands
    assert "--constraint constraints.txt --editable '.[dev,train]'" in commands


def test_demo_takes_its_ports_from_the_environment() -> None:
    commands = run_make("--dry-run", "demo", OFFRAMP_PORT="7001", OFFRAMP_API_PORT="8001")
    assert "tools.demo --port 7001 --api-port 8001" in commands


def test_torch_comes_from_another_index_when_one_is_named() -> None:
    commands = run_make("--dry-run", "--always-make", "setup", "TORCH_INDEX_URL=file:///wheels")
    assert re.search(r"--no-deps \\\n\s*--index-url file:///wheels torch", commands)


def test_tests_do_not_see_the_settings_of_the_shell() -> None:
    commands = run_make("--dry-run", "test", OFFRAMP_DEVICE="cuda", REDIS_URL="redis://elsewhere")
    assert re.search(r"^env -u REDIS_URL .*-u OFFRAMP_DEVICE\b.* -m pytest", commands, re.MULTILINE)


def test_bench_takes_data_and_results_and_measures_times_alone() -> None:
    commands = run_make("--dry-run", "bench", "DATA=photos", "RESULTS=found", "ARGS=--num-timed 32")
    sweeps = re.findall(r"-m model_core sweep (.*)", commands.replace("\\\n", " "))
    assert all("--data photos" in sweep for sweep in sweeps)
    tuning = [sweep for sweep in sweeps if "--split val" in sweep]
    assert len(tuning) == 3
    assert all("--out found/tuning" in sweep and "--batch-sizes ''" in sweep for sweep in tuning)
    shown = [sweep for sweep in sweeps if "--split test" in sweep]
    assert all("--out found " in sweep and "--num-timed 32" in sweep for sweep in shown)
    untimed = [sweep.endswith("--batch-sizes ''") for sweep in shown]
    assert untimed == [True] * 3 + [False] * 3  # quality first, two at once; times one by one
    assert re.search(r"-m model_core report --results found", commands)
    assert re.search(r"-m model_core judgments --data photos --out found", commands)


def test_ci_runs_the_checks_and_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make (\w+)", script.read_text(), flags=re.MULTILINE) == ["check", "test"]
