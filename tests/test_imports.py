"""Looking, listing and planning load no deep-learning library: each check runs in a fresh process."""

import resource
import subprocess
import sys

import pytest

HEAVY = "{'torch', 'transformers', 'peft', 'trl', 'accelerate', 'recbole', 'pandas', 'scipy'}"
CLI = "from recbench.cli import main\ntry:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code"


def loaded(code: str, *arguments: str) -> str:
    """The heavy libraries in memory after ``code``."""
    report = f"\nimport sys\nprint('\\nheavy:', *sorted({HEAVY} & set(sys.modules)))"
    command = [sys.executable, "-c", code + report, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("heavy:")[2].strip()


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".interfaces",
        ".registry",
        ".spec",
        ".evaluation",
        ".results",
        ".suites",
        ".seeds",
        ".files",
        ".types",
        ".cli",
    ],
)
def test_import_is_light(module: str) -> None:
    assert loaded(f"import recbench{module}") == ""


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["list"], ["describe", "loss", "msl"]])
def test_command_is_light(words: list[str]) -> None:
    assert loaded(CLI, *words) == ""


def test_dry_run_needs_no_model_library() -> None:
    found = loaded(CLI, "run", "--model", "popularity", "--dry-run").split()
    assert not {"torch", "transformers", "peft"} & set(found)


def test_every_descriptor_is_light() -> None:
    code = (
        "from recbench import registry\nfrom recbench.interfaces import KINDS\n"
        "for kind in KINDS:\n    assert registry.names(kind)\n"
        "    for name in registry.names(kind):\n        registry.get(kind, name)"
    )
    assert loaded(code) == ""


@pytest.mark.parametrize("words", [["--help"], ["list"]])
def test_command_is_quick(words: list[str]) -> None:
    """0.5 s of CPU on an idle machine; twice that here, for others may be using it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", CLI, *words], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 1.0, f"recbench {' '.join(words)} took {seconds:.2f} s of CPU"
