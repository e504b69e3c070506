"""``recbench data prepare``: a public release's raw files to one folder that recbench reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from recbench.cli.options import Place, folder_option
from recbench.cli.text import columns
from recbench.data.catalog import Entry, datasets
from recbench.data.facts import fact_rows
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.files import sha256_file
from recbench.progress import reporter

if TYPE_CHECKING:
    from recbench.data.raw.layouts import Layout
    from recbench.data.raw.preparation import Steps
    from recbench.interfaces import Reporter


@click.command()
@click.argument("name")
@click.argument("more", nargs=-1, type=Place(exists=True), metavar="[FILE]...")
@click.option(
    "--raw", "raws", multiple=True, type=Place(exists=True), metavar="FILE...", help="Raw files that you have."
)
@click.option("--out", type=Place(), required=True, metavar="DIR", help="The prepared folder.")
@click.option(
    "--core", type=click.IntRange(min=1), metavar="N", help="Minimum number of interactions per user and item."
)
@click.option("--items", type=click.IntRange(min=0), metavar="N", help="Items to draw before the k-core; 0: all.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of that draw.")
@click.option("--minimum-rating", type=float, metavar="RATING", help="Minimum rating; lower ones are dropped.")
@folder_option("--downloads", "downloads", "Where downloaded files are kept.")
def prepare(name: str, more: tuple[Path, ...], raws: tuple[Path, ...], out: Path, downloads: Path, **said: Any) -> None:
    """Prepare the raw files of NAME, a data set of datasets.yaml or the layout of a release, into a folder.

    \b
    recbench data prepare toy --out toy
    recbench data prepare toy --raw reviews.json.gz meta.json.gz --out toy
    recbench run --model sasrec --dataset toy --data-dir toy

    Without --raw the files are downloaded, and an interrupted download resumes. The folder holds the
    interactions and titles as Parquet, and a manifest. Preparing the same files again gives the same bytes.

    For a data set released as windows, such as book-msl, recbench only downloads the files to --out. It verifies those
    that have a checksum in datasets.yaml.
    """
    from recbench.data.raw.folder import check_place, write_folder
    from recbench.data.raw.layouts import LAYOUTS, layout
    from recbench.data.raw.preparation import prepared

    entry = datasets().get(name)
    if entry is None and name in LAYOUTS:
        entry = Entry(name, source="parquet", title=name, licence="", preparation="", layout=name)
    if entry is None or not (entry.layout or entry.raw):
        known = [*LAYOUTS, *(other for other, found in datasets().items() if found.raw)]
        raise UsageError(f"{name!r} is not a data set with raw files: {did_you_mean(name, known)}")
    if not entry.layout:
        kept = click.get_current_context().get_parameter_source("downloads") is not ParameterSource.DEFAULT
        if raws or more or kept or any(value is not None for value in said.values()):
            raise UsageError(
                f"{name} needs no preparation: give only --out. If you have its files, use --dataset {name} --data-dir "
                "DIR."
            )
        _released(entry, out)
        return
    for library in ("orjson", "pyarrow"):
        if find_spec(library) is None:
            raise RecbenchError(f"recbench data prepare needs {library}: pip install 'recbench-toolkit[data]'.")
    steps = _steps(entry, said)
    check_place(out)
    with reporter() as progress:
        paths = [*raws, *more] or _fetched(entry, downloads, progress)
        reads = layout(entry.layout)
        inputs = _inputs(entry, reads, paths)
        result = prepared(reads, paths, steps, progress)
        if _inputs(entry, reads, paths) != inputs:
            raise RecbenchError("A raw file changed while it was read: run it again.")
        about = {"name": name, "layout": entry.layout, "options": steps.model_dump(), "inputs": inputs}
        manifest = write_folder(out, result, about)
    rows = [("data set", f"{name}, layout {entry.layout}"), *fact_rows(manifest["counts"])]
    rows += [(f"sha256 of {file}", stated["sha256"]) for file, stated in manifest["outputs"].items()]
    rows += _unchecked(entry, inputs)
    click.echo(columns([*rows, _use(name if name in datasets() else "parquet", out)]))


def _released(entry: Entry, out: Path) -> None:
    """Fetch and check the files of a release of windows; a run would also read other files in the folder."""
    if out.is_file():
        raise UsageError(f"--out {out} is a file: name a folder.")
    others = sorted(path.name for path in out.glob("*.csv") if path.name not in entry.raw) if out.is_dir() else []
    if others:
        raise UsageError(
            f"--out {out} holds {', '.join(others)}, which are not part of {entry.name}: choose another folder."
        )
    with reporter() as progress:
        _fetched(entry, out, progress)
    click.echo(columns([("data set", entry.name), *_unchecked(entry, entry.raw), _use(entry.name, out)]))


def _unchecked(entry: Entry, files: Iterable[str]) -> list[tuple[str, str]]:
    unknown = [file for file in files if not (entry.raw.get(file) and entry.raw[file].sha256)]
    return [("not checked", f"{', '.join(unknown)}: datasets.yaml has no sha256 for them")] if unknown else []


def _use(dataset: str, out: Path) -> tuple[str, str]:
    return "use it with", f"--dataset {dataset} --data-dir {out}"


def _steps(entry: Entry, said: dict[str, Any]) -> Steps:
    from pydantic import ValidationError

    from recbench.data.raw.preparation import Steps

    try:
        return Steps(**{**entry.prepare, **{key: value for key, value in said.items() if value is not None}})
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + ".".join(map(str, first["loc"])).replace("_", "-")
        raise UsageError(f"{flag}: {first['msg']}, got {first['input']!r}.") from None


def _inputs(entry: Entry, layout: Layout, paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every raw file, by name; files that share a name, by folder and name.

    Raises:
        UsageError: a file is named twice, or they are not those of the layout.
        DataError: a file is missing or not the one that datasets.yaml describes.
    """
    from recbench.data.raw.download import check

    layout.files(paths)
    found: dict[str, dict[str, Any]] = {}
    often = Counter(path.name for path in paths)
    for path in paths:
        name = path.name if often[path.name] == 1 else f"{path.absolute().parent.name}/{path.name}"
        if name in found:
            raise UsageError(f"--raw names two files {name}: rename one of them.")
        if path.name in entry.raw:
            check(path, entry.raw[path.name], path.name)
        found[name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
    return dict(sorted(found.items()))


def _fetched(entry: Entry, folder: Path, progress: Reporter) -> list[Path]:
    from recbench.data.raw.download import fetched

    if not entry.raw:
        raise UsageError(f"{entry.name} has no address in datasets.yaml: give its raw files with --raw.")
    try:
        return [fetched(name, file, folder, progress) for name, file in entry.raw.items()]
    except RecbenchError as error:
        if type(error) is not RecbenchError:
            raise
        addresses = " and ".join(file.url for file in entry.raw.values())
        files = " ".join(entry.raw)
        then = f"give the files with --raw {files}" if entry.layout else f"put the files into {folder}"
        raise RecbenchError(
            f"{str(error).rstrip('.')}: run it again to continue, or fetch {addresses} elsewhere and {then}."
        ) from error
