"""A request becomes one spec: nested parts are resolved as if they were run by themselves, and share their stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recbench.config import Request, RunSpec
from recbench.keys import Keys

from recbench.errors import UsageError
from recbench.experiment import plan


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Any]:
    rows = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(60) for i in range(15)]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    return {"dataset": "csv", "dataset_options": {"file": str(tmp_path / "own.csv")}}


def spec(own: dict[str, Any], model: str, *sets: str, **request: Any) -> RunSpec:
    return plan(Request(model=model, sets=sets, **own, **request))


def test_the_reference_is_the_run_by_itself(own) -> None:
    sdpo, lml = spec(own, "bigrec", loss="sdpo"), spec(own, "bigrec", loss="lml")
    assert Keys(sdpo).reference(7) == Keys(lml).model(7)
    assert Keys(sdpo).model(7) != Keys(spec(own, "bigrec", "loss.beta=2", loss="sdpo")).model(7)
    warmer = spec(own, "bigrec", "reference.tau=2", "reference_train.epochs=4", loss="sdpo")
    assert Keys(warmer).reference(7) == Keys(spec(own, "bigrec", "loss.tau=2", "train.epochs=4", loss="lml")).model(7)
    small = {"flags": {"epochs": 1, "train_samples": 50}}
    assert Keys(spec(own, "llara", loss="sdpo", **small)).reference(1) == Keys(spec(own, "llara", **small)).model(1)


def test_the_teacher_is_the_run_by_itself(own) -> None:
    student = spec(own, "dllm2rec", "teacher.model=llara", "teacher.loss=msl", "teacher.loss.tau=2", "backbone.lam=0.3")
    alone = spec(own, "llara", "loss.tau=2", loss="msl")
    assert Keys(student.teacher()).model(3) == Keys(alone).model(3)
    other = spec(own, "dllm2rec", "teacher.model=llara", "teacher.loss=msl", "teacher.loss.tau=2", "backbone.lam=0.9")
    assert Keys(student).lessons(3) == Keys(other).lessons(3)  # what is made of a lesson does not change it
    assert Keys(student).model(3) != Keys(other).model(3)
    fewer = spec(own, "dllm2rec", "backbone.windows=10")
    assert Keys(fewer).lessons(3) != Keys(spec(own, "dllm2rec")).lessons(3)


def test_a_collaborative_model_is_the_run_by_itself(own) -> None:
    for model in ("llara", "allmrec"):
        key = Keys(spec(own, model)).all(1)["collaborative"]
        assert key == Keys(spec(own, "sasrec")).all(1)["model"]
    key = Keys(spec(own, "llara", "backbone.collaborative=dros")).all(1)["collaborative"]
    assert key == Keys(spec(own, "dros")).all(1)["model"]


def test_a_decoders_model_does_not_change_the_language_model(own) -> None:
    plain = spec(own, "bigrec", decoder="grounding")
    fused = spec(own, "bigrec", "decoder.fusion=collaborative", decoder="grounding")
    assert Keys(plain).model(1) == Keys(fused).model(1)
    assert Keys(plain).ranking(1) != Keys(fused).ranking(1)
    assert "mixes" in Keys(fused).ranking(1)
    other = spec(own, "bigrec", "decoder.fusion=collaborative", "collaborative.hidden=32", decoder="grounding")
    assert Keys(other).ranking(1) != Keys(fused).ranking(1)


def test_a_files_budget_is_the_flags(own, tmp_path: Path) -> None:
    from recbench.cli.request import ask

    (tmp_path / "x.yaml").write_text("model: bigrec\nloss: sdpo\nepochs: 3\ndevice: cpu\n")
    flags = {"model": "bigrec", "loss": "sdpo", "epochs": 3, "device": "cpu"}
    a, b = ask({}, (), tmp_path / "x.yaml").request, ask(flags, (), None).request
    assert plan(a).parts == plan(b).parts
    assert plan(a).parts["reference"]["train"]["epochs"] == 3
    assert plan(a).origins["train", "epochs"] == "x.yaml"
    assert plan(ask({"epochs": 4}, (), tmp_path / "x.yaml").request).parts["train"]["epochs"] == 4


def test_a_teacher_in_a_file(own) -> None:
    config = {"set": {"teacher": {"loss": {"tau": 2}, "model": "llara"}}}
    nested = spec(own, "dllm2rec", config=config, config_name="x.yaml")
    assert (
        nested.parts["teacher"] == spec(own, "dllm2rec", "teacher.model=llara", "teacher.loss.tau=2").parts["teacher"]
    )


def test_a_lists_length_is_checked_where_it_is_read(own) -> None:
    spec(own, "dllm2rec", "evaluate.depth=20")  # the teacher's lists are as long as the student reads them
    with pytest.raises(UsageError, match="teacher"):
        spec(own, "dllm2rec", "backbone.items=15")


def test_tuning_names_the_run_and_not_its_stages(own) -> None:
    plain = spec(own, "bigrec")
    tuned = spec(own, "bigrec", tuning={"grid": {"loss.tau": [1, 2]}, "seed": 1, "trials": 2})
    assert plain.spec_hash() != tuned.spec_hash()
    assert Keys(plain).all(1) == Keys(tuned).all(1)


@pytest.mark.parametrize(
    ("model", "sets", "request_", "culprit"),
    [
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
            "one collabora",
        ),
        ("sasrec", (), {"loss": "sdpo"}, "--loss sdpo"),
        ("sasrec", (), {"llm": "org/model"}, "--llm does not apply"),
        ("bigrec", ("loss.negatives=0",), {"loss": "sdpo"}, "negatives"),
        ("bigrec", ("loss.alpha=-1",), {"loss": "msl"}, "alpha"),
        ("bigrec", ("train.schedule=lara",), {}, "schedule"),
    ],
)
def test_what_cannot_be_is_refused(
    own, model: str, sets: tuple[str, ...], request_: dict[str, Any], culprit: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        spec(own, model, *sets, **request_)
    assert culprit in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("written", ["query,value", "query, value ,", "[query, value]"])
def test_lora_targets_may_be_a_plain_list(own: dict[str, Any], tmp_path: Path, written: str) -> None:
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "config.json").write_text("{}")
    found = spec(own, "bigrec", f"llm.lora_targets={written}", llm=str(tmp_path / "lm"), loss="msl")
    assert list(found.parts["llm"]["options"]["lora_targets"]) == ["query", "value"]
