"""Puts a text recommender together: language model, collaborative tokens, adapters, prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recbench import registry
from recbench.config import RunSpec
from recbench.errors import UsageError
from recbench.interfaces import ScoringBackbone, TextBackbone
from recbench.language import collaborative as tokens
from recbench.language import load, tiny
from recbench.language.embeddings import text_means
from recbench.language.options import TINY, PretrainedOptions, TinyOptions
from recbench.language.textmodel import TextModel
from recbench.prompts.encode import Encoder
from recbench.prompts.templates import Template, template
from recbench.prompts.trie import Trie
from recbench.seeds import seed_everything
from recbench.types import Split


def words(spec: RunSpec) -> Template:
    """The prompt's words: for the data set's name, or its folder's."""
    data = spec.parts["dataset"]
    return template(spec.parts["llm"]["options"]["template"], str(data.get("label", data["name"])))


Learn = Callable[[TextBackbone[Any], Callable[[Sequence[str]], npt.NDArray[np.float32]]], None]


def untuned(
    spec: RunSpec,
    split: Split,
    tokenizer: Any,
    trie: Trie,
    llm: str,
    collaborative: ScoringBackbone[Any] | None,
    seed: int,
    learn: Learn,
) -> tuple[TextModel, TextBackbone[Any]]:
    """The model as training finds it, and its backbone.

    Args:
        spec: the experiment.
        split: its data.
        tokenizer: of the language model.
        trie: of the catalogue's titles (:func:`recbench.prompts.encode.title_trie`).
        llm: folder or hub identifier of a pretrained one.
        collaborative: the trained model behind the collaborative tokens, if the backbone has any.
        seed: of everything that starts at random.
        learn: given the backbone and what embeds texts, lets a backbone that learns something first do so.
    """
    parts = spec.parts
    plugin = registry.get("backbone", parts["backbone"]["name"])
    backbone: TextBackbone[Any] = registry.load("backbone", parts["backbone"]["name"])(
        plugin.options(**parts["backbone"]["options"]), collaborative
    )
    device = parts["machine"]["device"]
    pretrained = PretrainedOptions(**parts["llm"]["options"]) if parts["llm"]["name"] != TINY else None
    seed_everything(seed, "language model weights")
    if pretrained:
        lm = load.load_pretrained(llm, parts["llm"].get("commit"), pretrained, device)
    else:
        lm = tiny.build(TinyOptions(**parts["llm"]["options"]), tokenizer)
    text = lm.get_input_embeddings()
    longest = parts["llm"]["options"]["max_tokens"]
    encoder = Encoder.create(tokenizer, words(spec), split.catalog, backbone, text.num_embeddings, longest, trie)
    try:
        if plugin.learns:
            with torch.random.fork_rng():
                bare = TextModel(lm.to(device).eval(), encoder, device)
                learn(backbone, lambda texts: text_means(bare, texts))
        vectors = backbone.item_vectors()
        shown = None if vectors is None else backbone.case_vectors(split.train.take(np.arange(1)))
    except NotImplementedError as error:  # by the collaborative model, whose class says what it has
        name = parts.get("collaborative", {}).get("name", "")
        raise UsageError(f"collaborative={name} does not do for {parts['backbone']['name']}: {error}.") from error
    tokens_of_cases = None
    if vectors is not None:
        users = None if shown is None else backbone.case_projector(shown.shape[1], text.embedding_dim)
        embedding = tokens.install(lm, vectors, backbone.projector(vectors.shape[1], text.embedding_dim), users)
        if shown is not None:
            tokens_of_cases = tokens.case_rows(embedding, backbone)
    if not backbone.tunes_language_model(pretrained is not None):
        for name, parameter in lm.named_parameters():
            parameter.requires_grad_("projector" in name)
        if pretrained and pretrained.gradient_checkpointing:
            load.checkpoint(lm)
    elif pretrained:
        lm = load.attach_lora(lm, pretrained, [] if vectors is None else ["projector"])
    lm.to(device)
    if tokens_of_cases is not None:
        encoder = replace(encoder, case_rows=tokens_of_cases)
    counts = np.bincount(split.train.target, minlength=len(split.catalog)).astype(np.int64)
    return TextModel(lm, encoder, device, counts), backbone
