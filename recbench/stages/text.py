"""Stages of language models: tokenizer, what is trained before, tuning, preferences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench import registry
from recbench.artefacts import load_model, save_model
from recbench.errors import DataError
from recbench.interfaces import FitReport
from recbench.keys import bench_code
from recbench.language.options import TINY
from recbench.results import Stage
from recbench.stages.scoring import ScoringStages
from recbench.types import Sequences, Split

TRIE = "trie.npz"


class TextStages(ScoringStages):
    """Models that write titles."""

    def text_model(self, split: Split, seed: int) -> Any:
        """The fine-tuned language model as a :class:`recbench.language.textmodel.TextModel`."""
        parts = self.spec.parts
        model, backbone = self.untuned(split, seed)
        what = f"train {parts['backbone']['name']} + {parts['loss']['name']}, seed {seed}"

        def build(folder: Path) -> None:
            if "reference" in parts:
                report = self._preferred(model, split, seed)
            else:
                report = self.tune(model, backbone, split, seed, parts)
            save_model(folder, _arrays(model), self._measured(report))

        key = self.keys.model(seed)
        if "reference" in parts and not self._there("model", key):  # before, so that each stage's time is its own
            self._tuned("reference", model, backbone, split, seed, parts["reference"])
        self.reporter.stage(what)
        stage = self._stage("model", key, build, every_process=True)
        _restore(model, stage)
        if self.keys.mixes(seed):
            model.recommender = self.scoring_model(split, parts["collaborative"], seed, "collaborative")
        return model

    def _tuned(self, name: str, model: Any, backbone: Any, split: Split, seed: int, part: Mapping[str, Any]) -> None:
        """Bring ``model`` to where ``part``'s loss and budget lead, as a stage that other runs share."""

        def build(folder: Path) -> None:
            save_model(folder, _arrays(model), self._measured(self.tune(model, backbone, split, seed, part)))

        self.reporter.stage(f"train {self.spec.parts['backbone']['name']} + {part['loss']['name']}, seed {seed}")
        _restore(model, self._stage(name, self.keys.reference(seed), build, every_process=True))

    def tune(self, model: Any, backbone: Any, split: Split, seed: int, part: Mapping[str, Any]) -> FitReport:
        """Tune ``model`` in place by the loss and budget of ``part``."""
        from recbench.training.text import tune

        fit = self._fit(part["train"], seed, self._validation(model, split, "text"))
        windows = self._training_windows(split, part["train"])
        precision = self.spec.parts["llm"]["options"]["precision"]
        return tune(model, self._loss(part["loss"]), windows, fit, backbone, precision, self.probe)

    def _preferred(self, model: Any, split: Split, seed: int) -> FitReport:
        from recbench.training.preference import prefer

        parts = self.spec.parts
        fit = self._fit(parts["train"], seed, self._validation(model, split, "text"))
        windows = self._training_windows(split, parts["train"])
        return prefer(model, self._loss(parts["loss"]), windows, fit, parts["llm"]["options"]["precision"])

    def untuned(self, split: Split, seed: int) -> tuple[Any, Any]:
        """The language model as training finds it, and its backbone."""
        from recbench.assemble import untuned

        parts = self.spec.parts
        plugin = registry.get("backbone", parts["backbone"]["name"])
        collaborative = None
        if "collaborative" in plugin.requires:
            collaborative = self.scoring_model(split, parts["collaborative"], seed, "collaborative")
        first = parts.get("reference", parts)["train"]
        tokenizer = self._tokenizer(split, self._training_windows(split, first), first["samples"])
        llm = "" if parts["llm"]["name"] == TINY else self._llm_folder()

        def learn(backbone: Any, embed: Any) -> None:
            def build(folder: Path) -> None:
                budget = {"epochs": 1, "batch_size": 1, "learning_rate": 0.0}  # the method's own options decide
                report = backbone.learn(split, embed, self._fit(budget, seed, None))
                save_model(folder, backbone.state(), self._measured(report))

            self.reporter.stage(f"train {parts['backbone']['name']} before the language model, seed {seed}")
            backbone.restore(
                load_model(self._stage("learned", self.keys.learned(seed), build, every_process=True).path)
            )

        model, backbone = untuned(
            self.spec, split, tokenizer, self._trie(split, tokenizer), llm, collaborative, seed, learn
        )
        if not model.reader.packs:
            self.reporter.message(
                f"{model.reader.architecture} does not take recbench's attention: prompts are padded and every prefix "
                "of a search is read anew, which gives the same results more slowly"
            )
        return model, backbone

    def _trie(self, split: Split, tokenizer: Any) -> Any:
        """The token trie of the catalogue, by the content that makes it."""
        from recbench.assemble import words
        from recbench.prompts.encode import title_trie
        from recbench.prompts.trie import Trie

        frame = words(self.spec)
        key = {
            "titles": _digest(json.dumps(split.catalog.titles)),
            "tokenizer": _digest(_content(tokenizer)),
            "end": tokenizer.eos_token_id,
            "title": frame.title,
            "code": bench_code(),
        }

        def build(folder: Path) -> None:
            title_trie(tokenizer, frame, split.catalog).save(folder / TRIE)

        return Trie.load(self._stage("trie", key, build).path / TRIE)

    def _tokenizer(self, split: Split, windows: Sequences, samples: int) -> Any:
        from recbench.language import load, tiny

        parts, options = self.spec.parts, self.spec.parts["llm"]["options"]
        if parts["llm"]["name"] != TINY:
            return load.load_tokenizer(self._llm_folder(), parts["llm"].get("commit"))
        texts = list(split.catalog.titles)
        key = {
            "data": self.keys.data(),
            "vocabulary": options["vocabulary"],
            "template": options["template"],
            "samples": samples,
            "code": bench_code(),
        }

        def build(folder: Path) -> None:
            from recbench.assemble import words

            frame = words(self.spec)
            history = [
                frame.before + frame.between.join(frame.quote(texts[i]) for i in row if i >= 0) + frame.after
                for row in windows.history
            ]
            tiny.train_tokenizer([*history, *texts], options["vocabulary"], folder)

        self.reporter.stage("train tokenizer")
        return load.load_tokenizer(str(self._stage("tokenizer", key, build).path))

    def _llm_folder(self) -> str:
        """Where the pretrained model is: the given folder or hub name, or the converted GGUF file."""
        from recbench.language import load
        from recbench.language.facts import is_gguf

        place = self.spec.places["llm"]
        if "fingerprint" not in self.spec.parts["llm"] or not is_gguf(place):
            return place
        key = {"gguf": self.spec.parts["llm"]["fingerprint"], "code": bench_code()}
        self.reporter.stage("convert GGUF")
        return str(self._stage("llm", key, lambda folder: load.convert_gguf(place, folder)).path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _content(tokenizer: Any) -> str:
    """What a tokenizer does, as text: its backend's own, or class and vocabulary of one that has none."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend.to_str() if backend else type(tokenizer).__name__ + json.dumps(sorted(tokenizer.get_vocab().items()))


def _arrays(model: Any) -> dict[str, Any]:
    return {name: p.float().numpy() for name, p in model.trainable().items()}


def _restore(model: Any, stage: Stage) -> None:
    import torch

    try:
        model.restore({n: torch.from_numpy(a) for n, a in load_model(stage.path).items()})
    except KeyError as error:
        raise DataError(
            f"{stage.path} is not a model of this spec ({error}): remove the folder and run again."
        ) from error
