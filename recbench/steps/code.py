"""What code a step runs, as a digest: an edited method must not reuse its earlier results.

A module counts with everything that it imports, inside functions too, as syntax trees without docstrings: a comment
changes nothing. Source is followed through recbench, through the distribution of a plugin, and through whatever is not
installed as a package (an editable install, a file on the path). Other libraries count by their version. Nothing is
imported for this. ``Plugin.revision`` covers what cannot be seen here (a module named by a string).
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from recbench.errors import RecbenchError

OURS = ("recbench", "recbench_plugins")
PLUMBING = frozenset({"pydantic", "yaml", "filelock", "recbench.processes", "recbench.signals"})
"""Libraries and modules that carry values and compute none: they change no result."""


@dataclass(frozen=True)
class Code:
    """What some modules run.

    Attributes:
        digest: 16 hexadecimal digits over the syntax trees.
        versions: version of each library that is imported, by distribution.
        modules: digest of each module that counts, by name: what an explanation of a difference needs.
    """

    digest: str
    versions: dict[str, str]
    modules: dict[str, str]

    def pin(self) -> None:
        """Import every module, so that an edit from now on does not reach this process.

        Raises:
            RecbenchError: a module was edited after this process read it for its keys.
        """
        for name in self.modules:
            if name in _pinned:
                continue
            with contextlib.suppress(ImportError):  # of something optional: who needs it says so
                importlib.import_module(name)
            path = _file(name)
            if path is None or _now(path) != self.modules[name]:
                raise RecbenchError(f"{name} was edited while this process ran: run the command again.")
            _pinned.add(name)


_pinned: set[str] = set()
"""Modules that this process has imported as they were when their digest was taken."""


@cache
def code_of(roots: tuple[str, ...]) -> Code:
    """The code behind the modules ``roots``, by dotted name."""
    owned = {_top(root) for root in roots}
    modules: dict[str, str] = {}
    libraries: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in modules or name in PLUMBING:
            continue
        path = _file(name)
        if path is None or not _followed(name, path, owned):
            libraries.add(_top(name))
            continue
        modules[name] = _parsed(path).digest
        waiting += _imported(name, path)
    both = "\n".join(f"{name} {modules[name]}" for name in sorted(modules))
    return Code(_digest(both.encode()), _versions(libraries), dict(sorted(modules.items())))


@dataclass(frozen=True)
class _Import:
    """``import module`` (no names) or ``from module import names``; ``level`` counts the leading dots."""

    module: str
    names: tuple[str, ...]
    level: int


@dataclass(frozen=True)
class _Tree:
    digest: str
    imports: tuple[_Import, ...]
    content: str


@cache
def _parsed(path: Path) -> _Tree:
    """A source file as a digest and its imports, read once: a later edit is not what this process runs."""
    content = path.read_bytes()
    tree = ast.parse(content, str(path))
    imports = tuple(_imports(tree))
    for node in (tree, *_statements(tree)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return _Tree(_digest(ast.dump(tree).encode()), imports, _digest(content))


def _now(path: Path) -> str:
    """A source file's digest as it is now; parsed only if it is not what was read before."""
    before = _parsed(path)
    return before.digest if _digest(path.read_bytes()) == before.content else _parsed.__wrapped__(path).digest


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _statements(node: ast.AST, checked: bool = True) -> Iterator[ast.AST]:
    """The statements in a node at any depth; with ``checked``, also those that only a type checker sees."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        if part == "body" and not checked and isinstance(node, ast.If) and _for_types_only(node.test):
            continue
        for inner in getattr(node, part, ()):
            yield inner
            yield from _statements(inner, checked)


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:]


def _imports(tree: ast.AST) -> Iterator[_Import]:
    """The imports of a tree, but for those that only a type checker sees."""
    for node in _statements(tree, checked=False):
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name, (), 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.module or "", tuple(alias.name for alias in node.names), node.level)


def _for_types_only(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


@cache
def _imported(name: str, path: Path) -> tuple[str, ...]:
    """The modules that a module's imports read."""
    return tuple(module for found in _parsed(path).imports for module in _targets(name, path, found))


def _targets(name: str, path: Path, found: _Import) -> list[str]:
    """The modules that an import in module ``name`` reads: submodules by their own name, else the module named."""
    module = found.module
    if found.level:
        parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        parts = parts[: len(parts) - (found.level - 1)]
        module = ".".join([*parts, found.module] if found.module else parts)
    inner = [f"{module}.{part}" for part in found.names]
    places = [_file(target) for target in inner]
    own = [target for target, place in zip(inner, places, strict=True) if place is not None]
    return own if found.names and len(own) == len(inner) else [module, *own]


@cache
def _root(top: str) -> tuple[tuple[Path, ...], Path | None]:
    """Where a top-level module lies: the folders of a package, or the file of a module."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return (), None
    folders = tuple(Path(place) for place in spec.submodule_search_locations or ())
    source = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return folders, source


@cache
def _file(name: str) -> Path | None:
    """The source file of a module, found without importing its packages; None where there is none."""
    top, *rest = name.split(".")
    folders, source = _root(top)
    if not rest:
        return source
    for folder in folders:
        place = folder.joinpath(*rest)
        for candidate in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if candidate.is_file():
                return candidate
    return None


def _followed(name: str, path: Path, owned: set[str]) -> bool:
    top = _top(name)
    if top in OURS or top in owned:
        return True
    if top in sys.stdlib_module_names:
        return False
    if any(path.is_relative_to(folder) for folder in _libraries()):
        return any(_distributions(top) & _distributions(root) for root in owned.difference(OURS))
    return True


@cache
def _libraries() -> tuple[Path, ...]:
    """Where installed libraries lie."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    places |= {place for place in sys.path if place.endswith(("site-packages", "dist-packages"))}
    return tuple(Path(place) for place in places if place)


@cache
def _packages() -> dict[str, list[str]]:
    return {top: list(owners) for top, owners in metadata.packages_distributions().items()}


@cache
def _distributions(top: str) -> set[str]:
    """Who installed a top-level module: the distribution of its name, else whoever lists it, which takes a second."""
    try:
        return {metadata.distribution(top).name}
    except metadata.PackageNotFoundError:
        return set(_packages().get(top, ()))


def _versions(tops: Iterable[str]) -> dict[str, str]:
    found = {}
    for top in tops:
        if top in sys.stdlib_module_names or top in PLUMBING:
            continue
        for owner in _distributions(top):
            found[owner] = _version(owner)
    return dict(sorted(found.items()))


@cache
def _version(distribution: str) -> str:
    return metadata.version(distribution)


def _top(name: str) -> str:
    return name.partition(".")[0]
