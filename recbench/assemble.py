"""Puts a text recommender together: language model, collaborative tokens, adapters, prompts."""

from __future__ import annotations

from typing import Any

from recbench import registry
from recbench.config import RunSpec
from recbench.interfaces import ScoringBackbone, TextBackbone
from recbench.language import collaborative as tokens
from recbench.language import load, tiny
from recbench.language.options import TINY, PretrainedOptions, TinyOptions
from recbench.language.textmodel import TextModel
from recbench.prompts.encode import Encoder
from recbench.prompts.templates import Template, template
from recbench.seeds import seed_everything
from recbench.types import Split


def words(spec: RunSpec) -> Template:
    """The prompt's words: for the data set's name, or its folder's."""
    data = spec.parts["dataset"]
    return template(spec.parts["llm"]["options"]["template"], str(data.get("label", data["name"])))


def untuned(
    spec: RunSpec,
    split: Split,
    tokenizer: Any,
    llm: str,
    collaborative: ScoringBackbone[Any] | None,
    seed: int,
) -> tuple[TextModel, TextBackbone[Any]]:
    """The model as training finds it, and its backbone.

    Args:
        spec: the experiment.
        split: its data.
        tokenizer: of the language model.
        llm: folder or hub identifier of a pretrained one.
        collaborative: the trained model behind the collaborative tokens, if the backbone has any.
        seed: of everything that starts at random.
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
        lm = load.load_pretrained(llm, pretrained, device)
    else:
        lm = tiny.build(TinyOptions(**parts["llm"]["options"]), tokenizer)
    text = lm.get_input_embeddings()
    vectors = backbone.item_vectors()
    if vectors is not None:
        tokens.install(lm, vectors, backbone.projector(vectors.shape[1], text.embedding_dim))
    if pretrained:
        lm = load.attach_lora(lm, pretrained, [] if vectors is None else ["projector"])
    lm.to(device)
    longest = parts["llm"]["options"]["max_tokens"]
    encoder = Encoder.create(tokenizer, words(spec), split.catalog, backbone, text.num_embeddings, longest)
    return TextModel(lm, encoder, device), backbone
