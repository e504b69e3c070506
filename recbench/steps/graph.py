"""All steps of one seed of an experiment: what a run, a dry run, a plan and a cluster read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from recbench.spec.model import Recommender, Spec
from recbench.steps.lessons import LessonsTaken
from recbench.steps.preferred import PreferredModel
from recbench.steps.prepared import Prepared
from recbench.steps.ranking import Ranked
from recbench.steps.scoring import ScoringModel
from recbench.steps.setting import RecommenderStep, Setting
from recbench.steps.step import Step
from recbench.steps.tuned import TunedModel


@dataclass(frozen=True)
class Graph:
    """The steps of one seed, by role, in an order in which they can be built.

    Attributes:
        seed: the seed.
        steps: ``prepare``, ``tokenizer``, ``trie``, ``collaborative``, ``model``, ``rank`` and so on; a teacher's with
            ``teacher`` before their own.
    """

    seed: int
    steps: Mapping[str, Step]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps.values())

    @property
    def prepared(self) -> Prepared:
        """The data set."""
        step = self.steps["prepare"]
        assert isinstance(step, Prepared)
        return step

    @property
    def model(self) -> RecommenderStep:
        """The experiment's own trained model."""
        step = self.steps["model"]
        assert isinstance(step, RecommenderStep)
        return step

    @property
    def ranked(self) -> Ranked:
        """The ranked test set."""
        step = self.steps["rank"]
        assert isinstance(step, Ranked)
        return step


def graph(spec: Spec, seed: int) -> Graph:
    """The steps of one seed; a method that does not depend on the seed has one graph, that of seed 0."""
    setting = Setting(spec.dataset, spec.evaluate, spec.machine, seed)
    model = trained(spec.recommender, setting)
    return Graph(seed, _roles(Ranked(spec.recommender, setting, model)))


def validation(spec: Spec, seed: int) -> Graph:
    """Like :func:`graph`, but its ``rank`` is the validation sample under the experiment's own decoder."""
    setting = Setting(spec.dataset, spec.evaluate, spec.machine, seed)
    model = trained(spec.recommender, setting)
    return Graph(seed, _roles(Ranked(spec.recommender, setting, model, "validation")))


def seeds_of(spec: Spec, seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds that a run of ``spec`` really has: 0 alone for a method that does not depend on it."""
    return tuple(seeds) if spec.recommender.backbone.plugin.seeded else (0,)


def trained(recommender: Recommender, setting: Setting) -> Step:
    """The step of a recommender's trained model, of either kind."""
    if recommender.reference is not None:
        return PreferredModel(recommender, setting)
    if recommender.signal == "text":
        return TunedModel(recommender, setting)
    if recommender.teacher is None:
        return ScoringModel(recommender, setting)
    lessons = LessonsTaken(recommender, setting, trained(recommender.teacher, setting))
    return ScoringModel(recommender, setting, lessons)


def _roles(last: Step) -> dict[str, Step]:
    """Every step of the closure by its role: the name under which it is needed, a teacher's after the word teacher."""
    roles: dict[str, str] = {last.folder: "rank"}

    def name(step: Step, before: str) -> None:
        for role, need in step.needs.items():
            shown = role if before == "" or role == "prepare" else f"{before}{role}"
            inside = before
            if role == "teacher":
                shown, inside = f"{before}teacher model", f"{before}teacher "
            if need.folder not in roles:
                roles[need.folder] = shown
                name(need, inside)

    name(last, "")
    named = {roles[step.folder]: step for step in last.closure()}
    assert len(named) == len(roles), "two steps have one role"
    return named
