"""A descriptor that is wrong fails where its module is imported, and says which plugin it is."""

from typing import Any, ClassVar

import pytest
from pydantic import Field

from recbench.interfaces import (
    BackbonePlugin,
    DecoderPlugin,
    FitReport,
    Loss,
    LossPlugin,
    Options,
    PreferenceLoss,
    ScoringBackbone,
    ScoringDecoder,
    SourcePlugin,
    TextBackbone,
    TextDecoder,
)


class MyLoss(Loss[Options]):
    def __call__(self, batch: Any) -> Any:
        return 0.0, 0


class MyPreference(PreferenceLoss[Options]):
    negatives = 1

    def __call__(self, chosen: Any, rejected: Any) -> Any:
        return chosen


class MyDecoder(TextDecoder[Options]):
    def rank(self, *_: Any) -> Any:
        return None


class Unfinished(ScoringDecoder[Options]):
    pass


class MyScores(ScoringBackbone[Options]):
    def fit(self, split: Any, fit: Any) -> FitReport:
        return FitReport()

    def scores(self, cases: Any) -> Any:
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, split: Any, state: Any) -> None:
        pass


class MyText(TextBackbone[Options]):
    def prompt(self, titles: Any, items: Any, template: Any) -> list[Any]:
        return []


GOOD: dict[str, Any] = {"implementation": MyLoss, "summary": "one line"}
WRONG: list[tuple[type, dict[str, Any], str]] = [
    (LossPlugin, {**GOOD, "implementation": MyDecoder}, "LossPlugin of MyDecoder: .*derived from Loss or ScoringLoss"),
    (LossPlugin, {**GOOD, "implementation": "mine:MyLoss"}, "LossPlugin of 'mine:MyLoss': .*must be a class"),
    (LossPlugin, {**GOOD, "summary": 3}, "LossPlugin of MyLoss: summary must be one line of text, not 3"),
    (LossPlugin, {**GOOD, "summary": "two\nlines"}, "summary must be one line"),
    (LossPlugin, {**GOOD, "options": dict}, "MyLoss: options must be a class derived from .*Options"),
    (LossPlugin, {**GOOD, "options": Options()}, "MyLoss: options must be a class"),
    (LossPlugin, {**GOOD, "paper": None}, "MyLoss: paper must be text"),
    (LossPlugin, {**GOOD, "revision": 0}, "MyLoss: revision must be a whole number from 1"),
    (LossPlugin, {**GOOD, "after": "lml"}, "MyLoss: .*'after'"),
    (LossPlugin, {**GOOD, "implementation": MyPreference}, "MyPreference: .*'after'"),
    (DecoderPlugin, {**GOOD, "implementation": Unfinished}, "DecoderPlugin of Unfinished: .*does not define rank"),
    (BackbonePlugin, {**GOOD, "implementation": MyText, "default_decoder": ""}, "MyText: default_decoder"),
    (BackbonePlugin, {**GOOD, "implementation": MyScores, "default_decoder": "topk", "learns": True}, "learns is for"),
    (
        BackbonePlugin,
        {**GOOD, "implementation": MyScores, "default_decoder": "topk", "requires": {"tutor": "bigrec"}},
        "the role 'tutor', but there are only collaborative and teacher",
    ),
    (SourcePlugin, {**GOOD}, "SourcePlugin of MyLoss: .*derived from DataSource"),
]


@pytest.mark.parametrize(("descriptor", "values", "said"), WRONG)
def test_wrong_descriptors(descriptor: type, values: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        descriptor(**values)


def test_the_signal_is_that_of_the_base_class() -> None:
    assert LossPlugin(**GOOD).signal == "text"
    assert DecoderPlugin(**{**GOOD, "implementation": MyDecoder}).signal == "text"
    scores = BackbonePlugin(implementation=MyScores, summary="one line", default_decoder="topk")
    assert (scores.signal, scores.selects) == ("scores", "topk")


def test_a_misspelt_word_for_positions() -> None:
    with pytest.raises(TypeError, match=r"Typo\.positions must be all, valid, choices, not 'vaild'"):

        class Typo(MyLoss):
            positions = "vaild"  # type: ignore[assignment]


def test_later_names_options_that_exist() -> None:
    class Mine(Options):
        later: ClassVar = frozenset({"size"})
        size: int = Field(3, description="of the student")
        lists: int = Field(5, description="asked of the teacher")

    class Derived(Mine):
        depth: int = Field(1, description="asked of the teacher too")

    assert Derived.later == {"size"}
    with pytest.raises(TypeError, match=r"Typo\.later names sise, but its options are: size, lists"):

        class Typo(Mine):
            later = frozenset({"sise"})

    with pytest.raises(TypeError, match="not the text 'size'"):

        class Text(Mine):
            later = "size"  # type: ignore[assignment]
