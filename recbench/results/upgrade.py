"""Records of format 1 (recbench up to 0.3) in today's shape; their files are not changed."""

from __future__ import annotations

from typing import Any

PHASES = {"prepare": "data", "rank": "decoding"}  # all others were training


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a format-1 record as that of a record of today, but for what it never held (lists, code).

    Its ``spec_hash`` stays that of the flat spec, which names the run's folder.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is malformed.
    """
    return {**content, "spec": _nested(content["spec"]), "seeds": [_seed(seed) for seed in content["seeds"]]}


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    dataset = {("files" if name == "inputs" else name): value for name, value in flat["dataset"].items()}
    recommender = _recommender(flat)
    if "collaborative" in flat:
        own = flat["collaborative"]
        recommender["collaborative"] = _present(
            backbone={"name": own["name"], "options": own["options"]}, loss=own.get("loss"), train=own.get("train")
        )
    if "reference" in flat:
        recommender["reference"] = {"backbone": flat["backbone"], **_present(**flat["reference"])}
    if "teacher" in flat:
        recommender["teacher"] = _recommender(flat["teacher"])
    rest = {name: flat[name] for name in ("evaluate", "machine", "tuning") if flat.get(name) is not None}
    return {"dataset": dataset, "recommender": recommender, **rest}


def _recommender(parts: dict[str, Any]) -> dict[str, Any]:
    return _present(**{name: parts.get(name) for name in ("backbone", "loss", "decoder", "llm", "train")})


def _present(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part}


def _seed(old: dict[str, Any]) -> dict[str, Any]:
    new = {name: value for name, value in old.items() if name not in ("steps", "seconds", "stages", "reused")}
    folders, reused = old.get("stages", {}), old.get("reused", ())
    steps = [
        {
            "role": role,
            "kind": folders.get(role, "").rpartition("-")[0] or role,
            "phase": PHASES.get(role, "training"),
            "folder": folders.get(role, ""),
            "seconds": seconds,
            "reused": role in reused,
        }
        for role, seconds in old.get("seconds", {}).items()
    ]
    return {**new, "steps_trained": old.get("steps", 0), "steps": steps}
