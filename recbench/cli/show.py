"""``recbench show``: single test cases of a run, as the model saw them and what it answered."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench.cli.options import folder_option
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.files import read_json

if TYPE_CHECKING:
    import numpy as np

    from recbench.interfaces import Names
    from recbench.results import RunRecord, SeedResult
    from recbench.types import Ranking, Sequences, Split

TOP = 10


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--user", metavar="ID", help="Only this user's cases, by the data set's id or by index.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Which seed.  [default: the run's first]")
@click.option("--case", type=click.IntRange(min=0), metavar="N", help="Only this test case, by its number.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=5, show_default=True, help="Cases to show.")
@folder_option("--runs", "runs", "Folder of runs.")
def show(name: str, user: str | None, seed: int | None, case: int | None, limit: int, runs: Path) -> None:
    """Show prompt, target, the ten best items with the hit marked, and the target's rank, case by case.

    RUN is a run's id, the beginning of one, or its folder.
    """
    from recbench.lookup import find
    from recbench.results import read

    path = find(name, runs)
    record = read(path)
    result = _seed(record, seed)
    split, ranking, cases = _stored(path, record, result)
    chosen = _choose(split, cases, user, case)
    names = _names(path, record, result, split)
    click.echo(f"run {record.run}, seed {result.seed}: {min(limit, len(chosen))} of {len(chosen):,} test cases")
    if result.watched:
        said = ", ".join(f"{name} {value:.4g}" for name, value in result.watched.items())
        click.echo(f"at the end of training: {said}")
    for number in chosen[:limit]:
        click.echo("\n" + _case(record, split, ranking, cases, result, int(number), names))


def _seed(record: RunRecord, seed: int | None) -> SeedResult:
    by_number = {result.seed: result for result in record.seeds}
    if seed is None:
        return record.seeds[0]
    if seed not in by_number:
        raise UsageError(f"--seed {seed}: run {record.run} has {', '.join(map(str, sorted(by_number)))}.")
    return by_number[seed]


def _stored(path: Path, record: RunRecord, result: SeedResult) -> tuple[Split, Ranking, Sequences]:
    from recbench.data.prepare import load_split
    from recbench.description import spec_of
    from recbench.experiment import STORE
    from recbench.steps.artefacts import load_ranking
    from recbench.steps.setting import Setting

    spec, root = spec_of(record, str(path)), path.parent.parent / STORE
    folders = {step.role: root / step.folder for step in result.steps if step.role in ("prepare", "rank")}
    if len(folders) < 2 or not all(folder.is_dir() for folder in folders.values()):
        raise RecbenchError(f"The ranking of {record.run} is not in {root}: recreate it with {_again(record, path)}")
    split = load_split(folders["prepare"])
    cases = Setting(spec.dataset, spec.evaluate, spec.machine, result.seed).test_cases(split)
    ranking = load_ranking(folders["rank"])
    if cases.digest() != record.cases.digest or len(ranking.items) != len(cases):
        raise RecbenchError(f"The steps in {root} are not those of {path}: recreate them with {_again(record, path)}")
    return split, ranking, cases


def _names(path: Path, record: RunRecord, result: SeedResult, split: Split) -> Names | None:
    """How a text recommender writes items; None for titles, and for any other model."""
    from recbench.description import spec_of
    from recbench.experiment import STORE
    from recbench.steps.artefacts import load_model

    naming = spec_of(record, str(path)).recommender.identifier
    if naming is None:
        return None
    made = naming.make()
    for step in result.steps:
        if step.role == "identifier":
            made.restore(load_model(path.parent.parent / STORE / step.folder))
    names: Names = made.names(split.catalog)
    return names


def _again(record: RunRecord, path: Path) -> str:
    """The command that repeats the run, with this machine's paths if the run's folder has them."""
    from recbench.experiment import LOCAL

    words = shlex.split(record.command)
    try:
        local = read_json(path.parent / LOCAL)
        places = {"--data-dir": next(iter(local["paths"].get("dataset", {}).values()), None), "--llm": local["llm"]}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        places = {}
    for number, word in enumerate(words[:-1]):
        if place := places.get(word):
            words[number + 1] = str(place)
    return shlex.join([*words, "--runs", str(path.parent.parent), "--again"])


def _choose(split: Split, cases: Sequences, user: str | None, case: int | None) -> np.ndarray[Any, Any]:
    import numpy as np

    chosen = np.arange(len(cases))
    if case is not None:
        if case >= len(cases):
            raise UsageError(f"--case {case}: the run has the cases 0 to {len(cases) - 1}.")
        chosen = chosen[[case]]
    if user is not None:
        if user in split.users:
            index = split.users.index(user)
        elif user.isdigit() and int(user) < len(split.users):
            index = int(user)
        else:
            raise UsageError(f"--user {user!r} is not a user of this data set: {_near(user, split.users)}")
        chosen = chosen[cases.users[chosen] == index]
        if not len(chosen):
            tested = sorted({split.users[u] for u in cases.users[:]}, key=lambda u: (len(u), u))[:5]
            raise UsageError(f"--user {user} has no test case here; users who have some: {', '.join(tested)}.")
    return chosen


def _near(user: str, users: tuple[str, ...]) -> str:
    return did_you_mean(user, users) if len(users) <= 50 else f"there are {len(users):,}, such as {users[0]!r}."


def _case(
    record: RunRecord,
    split: Split,
    ranking: Ranking,
    cases: Sequences,
    result: SeedResult,
    number: int,
    names: Names | None,
) -> str:
    from recbench.types import PAD

    titles = split.catalog.titles
    called = titles if names is None else tuple(f"{t}  {n}" for t, n in zip(titles, names.texts, strict=True))
    target = int(cases.target[number])
    history = [int(i) for i in cases.history[number] if i != PAD]
    lines = [f"case {number}, user {split.users[cases.users[number]]}", _prompt(record, titles, history, names)]
    lines.append(f"target  {called[target]}")
    width = len(str(TOP))
    for place, (item, score) in enumerate(zip(ranking.items[number][:TOP], ranking.scores[number], strict=False), 1):
        mark = "*" if item == target else " "
        title = called[item] if item != PAD else "(no item)"
        lines.append(f"{mark} {place:>{width}}  {title}" + (f"  ({score:.3f})" if item != PAD else ""))
    rank = int(result.ranks[number])
    lines.append(f"rank    {rank}" if rank else f"rank    beyond {record.spec['evaluate']['depth']}")
    return "\n".join(lines)


def _prompt(record: RunRecord, titles: tuple[str, ...], history: list[int], names: Names | None) -> str:
    """The prompt as text, a collaborative token as ``<item: TITLE>``; for a model without prompts, the history."""
    from recbench.description import spec_of
    from recbench.interfaces import USER, Names
    from recbench.prompts.names import history_texts
    from recbench.steps.words import words

    spec = spec_of(record, record.run)
    own = spec.recommender
    if own.llm is None:
        return "history\n" + "\n".join(f"        {titles[i]}" for i in history)
    frame = words(spec.dataset, own.llm.options.template)
    shown = history_texts(frame, names or Names(titles), titles, own.naming.shows)
    pieces = own.backbone.make().prompt([shown[i] for i in history], history, frame)
    text = "".join(p if isinstance(p, str) else "<user>" if p == USER else f"<item: {titles[p]}>" for p in pieces)
    said = "prompt  " if not frame.chat else "prompt  (the user's turn of the model's chat template)\n        "
    return said + text.rstrip("\n").replace("\n", "\n        ")
