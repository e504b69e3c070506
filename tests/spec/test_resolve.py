"""A request becomes one spec: nested parts are resolved as if they were run by themselves, and share their steps."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recbench.errors import RecbenchError, UsageError
from recbench.files import digest
from recbench.spec.model import Spec
from recbench.spec.options import Tuning

EVERYTHING = [
    ("popularity", (), {}),
    ("sasrec", ("backbone.hidden=32",), {}),
    ("bigrec", ("loss.tau=2",), {"loss": "msl"}),
    ("bigrec", ("reference.tau=2", "reference_train.epochs=4"), {"loss": "sdpo"}),
    ("bigrec", ("decoder.fusion=collaborative", "collaborative.hidden=32"), {"decoder": "grounding"}),
    ("llara", ("backbone.collaborative=dros",), {}),
    ("allmrec", (), {}),
    ("dllm2rec", ("teacher.model=llara", "teacher.loss=msl", "teacher.loss.tau=2"), {}),
    ("llmcf", (), {}),
]


def write_model(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text("")


def test_the_reference_is_the_run_by_itself(own: SimpleNamespace) -> None:
    sdpo, lml = own.keys(own.spec("bigrec", loss="sdpo"), 7), own.keys(own.spec("bigrec", loss="lml"), 7)
    assert sdpo["reference"] == lml["model"]
    assert sdpo["model"] != own.keys(own.spec("bigrec", "loss.beta=2", loss="sdpo"), 7)["model"]
    warmer = own.keys(own.spec("bigrec", "reference.tau=2", "reference_train.epochs=4", loss="sdpo"), 7)
    assert warmer["reference"] == own.keys(own.spec("bigrec", "loss.tau=2", "train.epochs=4", loss="lml"), 7)["model"]
    small = {"epochs": 1, "train_samples": 50}
    shown = own.keys(own.spec("llara", loss="sdpo", **small))
    assert shown["reference"] == own.keys(own.spec("llara", **small))["model"]
    assert shown["collaborative"] == own.keys(own.spec("sasrec"))["model"]


def test_the_teacher_is_the_run_by_itself(own: SimpleNamespace) -> None:
    words = ("teacher.model=llara", "teacher.loss=msl", "teacher.loss.tau=2")
    student = own.keys(own.spec("dllm2rec", *words, "backbone.lam=0.3"), 3)
    alone = own.keys(own.spec("llara", "loss.tau=2", loss="msl"), 3)
    assert student["teacher model"] == alone["model"]
    assert student["teacher collaborative"] == alone["collaborative"]
    other = own.keys(own.spec("dllm2rec", *words, "backbone.lam=0.9"), 3)
    assert student["lessons"] == other["lessons"]  # what is made of a lesson does not change it
    assert student["model"] != other["model"]
    fewer = own.keys(own.spec("dllm2rec", *words, "backbone.windows=10"), 3)
    assert fewer["lessons"] != student["lessons"]


def test_a_collaborative_model_is_the_run_by_itself(own: SimpleNamespace) -> None:
    for model in ("llara", "allmrec"):
        assert own.keys(own.spec(model))["collaborative"] == own.keys(own.spec("sasrec"))["model"]
    shown = own.keys(own.spec("llara", "backbone.collaborative=dros"))
    assert shown["collaborative"] == own.keys(own.spec("dros"))["model"]
    # budget flags are the language model's: the collaborative model keeps its own
    assert own.keys(own.spec("llara", epochs=1))["collaborative"] == own.keys(own.spec("sasrec"))["model"]


def test_a_decoders_model_does_not_change_the_language_model(own: SimpleNamespace) -> None:
    plain = own.keys(own.spec("bigrec", decoder="grounding"))
    fused = own.keys(own.spec("bigrec", "decoder.fusion=collaborative", decoder="grounding"))
    assert plain["model"] == fused["model"]
    assert plain["rank"] != fused["rank"]
    assert fused["mixed"] == own.keys(own.spec("sasrec"))["model"]
    words = ("decoder.fusion=collaborative", "collaborative.hidden=32")
    assert own.keys(own.spec("bigrec", *words, decoder="grounding"))["rank"] != fused["rank"]


def test_a_budget_flag_goes_to_all_that_the_run_trains_itself(own: SimpleNamespace) -> None:
    found = own.plan("bigrec", loss="sdpo", epochs=3)
    assert found.spec.recommender.train.epochs == found.spec.recommender.reference.train.epochs == 3
    assert found.origins["train", "epochs"] == found.origins["reference_train", "epochs"] == "--epochs"
    assert own.spec("bigrec", "train.epochs=5", loss="sdpo", epochs=3).recommender.train.epochs == 5
    assert own.plan("popularity", epochs=3).notes == ("--epochs has no effect, since popularity is not trained",)


def test_a_teacher_in_a_file(own: SimpleNamespace) -> None:
    nested = own.spec("dllm2rec", set={"teacher": {"loss": {"tau": 2}, "model": "llara"}})
    dotted = own.spec("dllm2rec", "teacher.model=llara", "teacher.loss.tau=2")
    assert nested.recommender.teacher == dotted.recommender.teacher


def test_a_lists_length_is_checked_where_it_is_read(own: SimpleNamespace) -> None:
    own.spec("dllm2rec", "evaluate.depth=20")  # the teacher's lists are as long as the student reads them
    with pytest.raises(UsageError, match="teacher"):
        own.spec("dllm2rec", "backbone.items=15")
    with pytest.raises(UsageError, match="beams"):
        own.spec("bigrec", "decoder.beams=10", "evaluate.depth=20")


def test_tuning_names_the_run_and_not_its_steps(own: SimpleNamespace) -> None:
    plain = own.spec("bigrec")
    tuned = plain.model_copy(update={"tuning": Tuning(grid={"loss.tau": [1, 2]}, seed=1, trials=2)})
    assert plain.spec_hash() != tuned.spec_hash()
    assert own.keys(plain) == own.keys(tuned)


@pytest.mark.parametrize(("model", "options", "flags"), EVERYTHING, ids=lambda part: str(part)[:20])
def test_a_spec_is_json_without_places_and_comes_back_from_it(
    own: SimpleNamespace, model: str, options: tuple[str, ...], flags: dict[str, Any]
) -> None:
    spec = own.spec(model, *options, **flags)
    stored = json.dumps(spec.plain())
    assert str(own.folder) not in stored
    assert "null" not in stored
    back = Spec.from_record(json.loads(stored))
    assert back.spec_hash() == spec.spec_hash() == digest(json.loads(stored))[:16]
    assert own.keys(back) == own.keys(spec)
    assert back.plain() == spec.plain()


def test_a_language_model_in_a_folder_counts_by_content_and_its_place_does_not(own: SimpleNamespace) -> None:
    for place in ("a", "b"):
        write_model(own.folder / place / "lm")
    one, two = (own.spec("bigrec", llm=str(own.folder / place / "lm")) for place in ("a", "b"))
    assert str(own.folder) not in json.dumps(one.plain())
    assert one.spec_hash() == two.spec_hash()
    assert one.recommender.llm.place != two.recommender.llm.place
    (own.folder / "b" / "lm" / "config.json").write_text('{"x": 1}')
    other = own.spec("bigrec", llm=str(own.folder / "b" / "lm"))
    assert other.spec_hash() != one.spec_hash()
    assert own.keys(other)["trie"] != own.keys(one)["trie"]


@pytest.mark.parametrize("written", ["query,value", "query, value ,", "[query, value]"])
def test_lora_targets_may_be_a_plain_list(own: SimpleNamespace, written: str) -> None:
    write_model(own.folder / "lm")
    found = own.spec("bigrec", f"llm.lora_targets={written}", llm=str(own.folder / "lm"), loss="msl")
    assert found.recommender.llm.options.lora_targets == ("query", "value")


def test_every_value_has_an_origin(own: SimpleNamespace) -> None:
    found = own.plan("dllm2rec", "backbone.lam=0.5", "teacher.loss.tau=2", "teacher.loss=lml", epochs=2)
    assert found.origins["backbone", "lam"] == "--set"
    assert found.origins["backbone", "items"] == "default"
    assert found.origins["train", "epochs"] == "--epochs"
    assert found.origins["train", "batch_size"] == "preset cpu"
    assert found.origins["train", "learning_rate"] == "preset cpu"
    assert found.origins["teacher", "loss.tau"] == "--set"
    assert found.origins["teacher", "loss"] == "--set"
    assert found.origins["machine", "device"] == "--device"
    assert found.origins["dataset", "file"] == "--data_dir"


@pytest.mark.parametrize(
    ("model", "options", "flags", "culprit"),
    [
        ("bigrec", ("loss.tua=2",), {"loss": "msl"}, "--set loss.tua does not exist; did you mean 'tau'"),
        ("bigrek", (), {}, "did you mean 'bigrec'"),
        ("bigrec", (), {"loss": "mls"}, "Unknown loss 'mls'"),
        ("bigrec", (), {"decoder": "beam"}, "Unknown decoder 'beam'"),
        ("bigrec", (), {"preset": "gpu"}, "Unknown preset 'gpu'"),
        ("bigrec", (), {"dataset": "nowhere"}, "Unknown data set 'nowhere'"),
        ("dllm2rec", ("teacher.model=sasrec",), {}, "teacher.model=sasrec"),
        ("dllm2rec", ("teacher.los=msl",), {}, "teacher.los"),
        ("dllm2rec", ("teacher.loss.tua=1",), {}, "tua"),
        ("dllm2rec", ("teacher.decoder.beams=3",), {}, "beams=3"),
        ("dllm2rec", ("teacher.nothing.here=3",), {}, "'nothing'"),
        ("bigrec", ("teacher.loss=msl",), {}, "no group 'teacher'"),
        ("bigrec", ("reference.tau=2",), {"loss": "lml"}, "no group 'reference'"),
        ("llara", ("backbone.collaborative=dllm2rec",), {}, "learns from a teacher"),
        ("llara", ("backbone.collaborative=bigrec",), {}, "writes titles"),
        (
            "llara",
            ("decoder.fusion=collaborative", "decoder.collaborative=dros"),
            {"decoder": "grounding"},
            "one collaborative model",
        ),
        ("sasrec", (), {"loss": "sdpo"}, "--loss sdpo trains titles"),
        ("sasrec", (), {"decoder": "exact"}, "--decoder exact needs titles"),
        ("popularity", (), {"loss": "bce"}, "popularity is not trained by a loss"),
        ("sasrec", (), {"llm": "org/model"}, "--llm does not apply"),
        ("bigrec", ("loss.negatives=0",), {"loss": "sdpo"}, "negatives"),
        ("bigrec", ("loss.alpha=-1",), {"loss": "msl"}, "alpha"),
        ("bigrec", ("train.schedule=lara",), {}, "schedule"),
        ("bigrec", ("llm.heads=3",), {}, "The options of llm do not fit together"),
        ("bigrec", ("train.learning_rate=.inf",), {}, "train.learning_rate=inf is not valid"),
        ("bigrec", ("train.learning_rate=.nan",), {}, "train.learning_rate=nan is not valid"),
        ("bigrec", (), {"data_dir": "/nowhere"}, "/nowhere does not exist"),
        ("bigrec", (), {"dataset": "ml-100k", "data_dir": __file__}, "is not read from a path"),
    ],
)
def test_what_cannot_be_is_refused(
    own: SimpleNamespace, model: str, options: tuple[str, ...], flags: dict[str, Any], culprit: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        own.spec(model, *options, **flags)
    assert culprit in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("edit", "culprit"),
    [
        (lambda spec: spec.pop("dataset"), "dataset"),
        (lambda spec: spec["recommender"].pop("backbone"), "recommender.backbone"),
        (lambda spec: spec["recommender"]["loss"]["options"].update(tua=1), "tua"),
        (lambda spec: spec.update(extra=1), "extra"),
        (lambda spec: spec["recommender"]["backbone"].update(name="gone"), "Unknown backbone 'gone'"),
        (lambda spec: spec["recommender"].update(backbone="bigrec"), "backbone"),
        (lambda spec: spec["recommender"]["backbone"].update(options=3), "options"),
        (lambda spec: spec["recommender"]["backbone"].pop("name"), "name"),
    ],
)
def test_a_records_spec_that_cannot_be_used_is_one_sentence(own: SimpleNamespace, edit: Any, culprit: str) -> None:
    stored = own.spec("bigrec", loss="msl").plain()
    edit(stored)
    with pytest.raises(RecbenchError) as refusal:
        Spec.from_record(stored, "run x")
    assert culprit in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_your_own_data_counts_by_content_and_is_called_by_its_file(own: SimpleNamespace, tmp_path: Path) -> None:
    spec = own.spec("popularity")
    assert spec.dataset.called == "own"
    assert list(spec.dataset.files) == ["own.csv"]
    (tmp_path / "own.csv").write_text((tmp_path / "own.csv").read_text().replace("1th", "1st"))
    assert own.spec("popularity").spec_hash() != spec.spec_hash()


@pytest.mark.parametrize(
    ("model", "flags", "expected"),
    [
        ("bigrec", {"preset": "paper"}, "last"),
        ("bigrec", {"preset": "cpu"}, "all"),
        ("llara", {"preset": "cpu"}, "all"),
        ("allmrec", {"preset": "cpu"}, "all"),
        ("sasrec", {"preset": "cpu"}, "last"),
        ("bigrec", {"preset": "cpu", "loss": "sdpo"}, "last"),
    ],
)
def test_which_titles_are_targets(own: SimpleNamespace, model: str, flags: dict[str, str], expected: str) -> None:
    recommender = own.spec(model, **flags).recommender
    assert recommender.train.targets == expected
    if recommender.reference:
        assert recommender.reference.train.targets == recommender.first_budget.targets == "all"


@pytest.mark.parametrize(
    ("model", "flags", "who"),
    [
        ("sasrec", {}, "models that score items: use last"),
        ("bigrec", {"loss": "sdpo"}, "a preference loss: set reference_train.targets instead"),
        ("mine", {}, "mine, whose prompt does not keep titles apart: use last"),
    ],
)
def test_targets_of_what_has_only_the_last(
    own: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, model: str, flags: dict[str, str], who: str
) -> None:
    from recbench import registry
    from recbench.interfaces import BackbonePlugin, Options, TextBackbone

    class Mine(TextBackbone[Options]):
        def prompt(self, titles: Any, items: Any, template: Any) -> list[Any]:
            return []

    plugin = BackbonePlugin(implementation=Mine, summary="mine", default_loss="lml", default_decoder="constrained_beam")
    get = registry.get
    monkeypatch.setattr(registry, "get", lambda kind, name: plugin if name == "mine" else get(kind, name))
    assert own.spec(model, **flags).recommender.train.targets == "last"
    with pytest.raises(UsageError, match=f"train.targets=all cannot be used with {who}"):
        own.spec(model, "train.targets=all", **flags)


@pytest.mark.parametrize("option", ["train.stride=2", "train.samples=7", "teacher.train.targets=last"])
def test_what_a_teacher_is_asked_depends_on_the_windows(own: SimpleNamespace, option: str) -> None:
    plain, changed = (own.keys(own.spec("dllm2rec", *extra)) for extra in ((), (option,)))
    assert plain["lessons"] != changed["lessons"]
