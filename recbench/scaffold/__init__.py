"""A plugin's package to begin with: files of :mod:`string.Template`, filled with the names of a new one.

``templates/`` holds a small but complete method and its test for each kind, and what all packages have in common.
"""

from __future__ import annotations

import keyword
import os
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from recbench import interfaces, registry
from recbench.data.catalog import datasets
from recbench.errors import UsageError, did_you_mean, short
from recbench.files import explained
from recbench.interfaces import KINDS

USES = {
    "loss": "recbench run --model bigrec --loss {}",
    "backbone": "recbench run --model {}",
    "decoder": "recbench run --model bigrec --decoder {}",
    "identifier": "recbench run --model bigrec --identifier {}",
    "source": "recbench run --model popularity --dataset {} --data-dir mine.tsv",
    "metric": "recbench compare RUN RUN --metric {}@10",
    "slice": "recbench compare RUN RUN --slice {}",
}
"""The command that uses a new plugin of each kind."""


def new(kind: str, name: str, folder: Path) -> Path:
    """Write the package ``recbench-NAME`` into a folder, all of it or nothing; returns its own folder.

    Args:
        kind: of ``recbench.interfaces.KINDS``.
        name: what the user will type: letters, digits, ``-`` and ``_``.
        folder: where the package's folder is made.

    Raises:
        UsageError: the name cannot be used or is claimed (names who claims it), or something is in the way.
        RecbenchError: the folder cannot be written to.
    """
    if kind not in KINDS:
        raise UsageError(f"recbench has no kind {short(kind)}: {did_you_mean(kind, KINDS)}")
    words = _words(kind, name)
    if not folder.is_dir():
        raise UsageError(f"--dir {folder} is not a folder: make it first, or name another.")
    target = folder / words["distribution"]
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} already exists: remove it, or choose another name or --dir.")
    with explained(f"writing {target}"), tempfile.TemporaryDirectory(prefix=".recbench-new-", dir=folder) as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        for place, template in _contents(kind, words["module"]).items():
            text = files(__name__).joinpath("templates", f"{template}.tmpl").read_text(encoding="utf-8")
            (made / place).write_text(Template(text).substitute(words), encoding="utf-8")
        os.rename(made, target)
    return target


def _contents(kind: str, module: str) -> Mapping[str, str]:
    """Each file of a package, and the template that it is made of."""
    return {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}.py": f"{kind}.py",
        f"test_{module}.py": f"test_{kind}.py",
    }


def _words(kind: str, name: str) -> dict[str, str]:
    """What the templates' placeholders stand for.

    Raises:
        UsageError: see :func:`new`.
    """
    if not re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9_-]{0,38}[A-Za-z0-9])?", name):
        raise UsageError(
            f"{short(name)} cannot name {with_article(kind)}: use at most 40 letters, digits, - or _, with a letter "
            "first and a letter or digit last."
        )
    _unclaimed(kind, name)
    distribution = f"recbench-{re.sub('[-_]+', '-', name).lower()}"
    module = distribution.replace("-", "_")
    try:
        there = f"The distribution {distribution} {version(distribution)} is installed"
    except PackageNotFoundError:
        there = f"A module {module} can be imported" if find_spec(module) else ""
    if there:
        raise UsageError(f"{there}, and the new package would replace it: choose another name than {short(name)}.")
    check = " --set dataset.file=mine.tsv" if kind == "source" else ""
    return {
        "kind": kind,
        "a_kind": with_article(kind),
        "name": name,
        "group": registry.GROUPS[kind],
        "distribution": distribution,
        "module": module,
        "cls": _class(name),
        "use": USES[kind].format(name),
        "check": check,
    }


def with_article(kind: str) -> str:
    """``a loss``, ``an identifier``."""
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _unclaimed(kind: str, name: str) -> None:
    """Refuse a name that exists: two distributions that claim one make it unusable."""
    for claim in registry.claims(kind):
        if claim.name == name:
            owner = f"{claim.distribution} {claim.version}".strip()
            raise UsageError(f"The {kind} name {name!r} is claimed by {owner}: choose another.")
    if kind == "source" and name in datasets():
        raise UsageError(f"{name!r} is a data set of datasets.yaml, and --dataset finds both: choose another name.")


def _class(name: str) -> str:
    """The name of the class: in CamelCase, and none that the module imports or Python reserves."""
    camel = "".join(part[:1].upper() + part[1:] for part in re.split("[-_]+", name))
    taken = keyword.iskeyword(camel) or camel in interfaces.__all__ or camel in ("Field", "Path", "Mapping", "Sequence")
    return f"{camel}Method" if taken else camel
