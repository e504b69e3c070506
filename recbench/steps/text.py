"""Puts a text recommender together: language model, collaborative tokens, adapters, prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recbench.errors import DataError, UsageError
from recbench.language import collaborative as tokens
from recbench.language import load, tiny
from recbench.language.new_rows import add_rows
from recbench.language.textmodel import TextModel
from recbench.prompts.encode import Encoder
from recbench.prompts.names import shown_in_history
from recbench.seeds.everything import seed_everything
from recbench.spec.llm import PretrainedOptions, TinyOptions
from recbench.steps.artefacts import load_model, load_report
from recbench.steps.modelplace import model_place
from recbench.steps.naming import names_of
from recbench.steps.trie import tokenizer_of
from recbench.steps.words import words

if TYPE_CHECKING:
    from recbench.interfaces import TextBackbone
    from recbench.spec.model import LanguageModel, Recommender
    from recbench.steps.setting import Setting
    from recbench.steps.step import Step, Work
    from recbench.types import Split


def bare(
    recommender: Recommender, setting: Setting, needs: Mapping[str, Step], work: Work
) -> tuple[TextModel, TextBackbone[Any]]:
    """The language model as it is loaded, without collaborative tokens or adapters, and the backbone.

    Args:
        recommender: a text recommender.
        setting: data, machine and seed.
        needs: ``prepare``, ``trie``; ``tokenizer``, ``llm``, ``identifier`` and ``collaborative`` where there is one.
        work: gives their values.
    """
    llm, split = _llm(recommender), work.value(needs["prepare"])
    collaborative = work.value(needs["collaborative"]) if "collaborative" in needs else None
    backbone: TextBackbone[Any] = recommender.backbone.make(collaborative)
    naming = recommender.naming
    names = names_of(naming, needs.get("identifier"), split.catalog, work)
    tokenizer = tokenizer_of(llm, needs, work, names)
    seed_everything(setting.seed, "language model weights")
    if isinstance(llm.options, TinyOptions):
        lm = tiny.build(llm.options, tokenizer)
    else:
        place = model_place(llm, needs, work)
        lm = load.load_pretrained(place, llm.commit, llm.options, setting.machine.device)
        if names.tokens:
            add_rows(lm, tokenizer.convert_tokens_to_ids(list(names.tokens)), setting.seed)
    frame = words(setting.dataset, llm.options.template)
    vocabulary = lm.get_input_embeddings().num_embeddings
    trie = work.value(needs["trie"])
    apart = recommender.first_budget.targets == "all"
    limit = llm.options.max_tokens
    encoder = Encoder.create(tokenizer, frame, split.catalog, backbone, vocabulary, limit, trie, apart)
    if names.tokens:
        encoder = replace(encoder, new_tokens=tuple(tokenizer.convert_tokens_to_ids(list(names.tokens))))
    if not naming.plugin.titles:
        rows, titles = [answer[:-1] for answer in encoder.answers], split.catalog.titles
        encoder = replace(encoder, shown=shown_in_history(tokenizer, frame, names, rows, titles, naming.shows))
    return TextModel(lm, encoder, setting.machine.device), backbone


def untuned(
    recommender: Recommender, setting: Setting, needs: Mapping[str, Step], work: Work
) -> tuple[TextModel, TextBackbone[Any]]:
    """The model as training finds it, and its backbone.

    Args:
        recommender, setting, work: see :func:`bare`.
        needs: those of :func:`bare`; ``learned`` for a backbone that learns something first.

    Raises:
        UsageError: the collaborative model does not have the vectors that the backbone shows, or nothing trains the
            rows of new tokens.
    """
    split: Split = work.value(needs["prepare"])
    model, backbone = bare(recommender, setting, needs, work)
    lm, llm, encoder = model.lm, _llm(recommender), model.encoder
    if "learned" in needs:
        backbone.restore(work.value(needs["learned"]))
    embedding = _show_vectors(lm, recommender, backbone, split)
    pretrained = llm.options if isinstance(llm.options, PretrainedOptions) else None
    if not backbone.tunes_language_model(pretrained is not None):
        if pretrained and encoder.new_tokens:
            name = recommender.backbone.name
            raise UsageError(
                f"--identifier {recommender.naming.name} has new tokens, but {name} does not train a pretrained "
                "language model: use --identifier title, or --llm tiny."
            )
        for name, parameter in lm.named_parameters():
            parameter.requires_grad_("projector" in name)
        if pretrained and pretrained.gradient_checkpointing:
            load.checkpoint(lm)
    elif pretrained:
        own = encoder.new_tokens
        lm = load.attach_lora(lm, pretrained, [] if embedding is None else ["projector"], own)
    lm.to(setting.machine.device)
    if embedding is not None and embedding.case_projector is not None:
        encoder = replace(encoder, case_rows=tokens.case_rows(embedding, backbone))
    counts = np.bincount(split.train.target, minlength=len(split.catalog)).astype(np.int64)
    whole = TextModel(lm, encoder, setting.machine.device, counts)
    if not whole.hidden_states.packs:
        work.reporter.message(
            f"{whole.hidden_states.architecture} does not support recbench's attention: prompts are padded and every "
            "prefix of a search is read again, which gives the same results more slowly"
        )
    return whole, backbone


def restored(
    recommender: Recommender, setting: Setting, needs: Mapping[str, Step], work: Work, folder: Path, made: Any
) -> TextModel:
    """The trained model whose parameters ``folder`` holds; ``made`` is the model itself where it was trained just now.

    Raises:
        DataError: the parameters are another model's.
    """
    model: TextModel = untuned(recommender, setting, needs, work)[0] if made is None else made
    try:
        model.restore({name: torch.from_numpy(array) for name, array in load_model(folder).items()})
    except KeyError as error:
        raise DataError(f"{folder} is not a model of this spec ({error}): remove the folder and run again.") from error
    model.trained_at = load_report(folder).temperature
    return model


def _show_vectors(lm: Any, recommender: Recommender, backbone: TextBackbone[Any], split: Split) -> Any:
    """Give the language model the tokens that stand for items and windows; None where prompts have no such token."""
    width = lm.get_input_embeddings().embedding_dim
    try:
        vectors = backbone.item_vectors()
        if vectors is None:
            return None
        shown = backbone.case_vectors(split.train.take(np.arange(1)).histories())
    except NotImplementedError as error:  # by the collaborative model, whose class says what it has
        name = recommender.collaborative.backbone.name if recommender.collaborative else ""
        raise UsageError(f"collaborative={name} cannot be used with {recommender.backbone.name}: {error}.") from error
    users = None if shown is None else backbone.case_projector(shown.shape[1], width)
    return tokens.install(lm, vectors, backbone.projector(vectors.shape[1], width), users)


def _llm(recommender: Recommender) -> LanguageModel:
    assert recommender.llm is not None, f"{recommender.backbone.name} has no language model"
    return recommender.llm


def to_arrays(model: TextModel) -> dict[str, Any]:
    """The trained parameters as arrays."""
    return {name: parameter.float().numpy() for name, parameter in model.trainable().items()}
