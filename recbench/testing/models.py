"""A tiny language model, and answer positions made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recbench.files import scratch
from recbench.interfaces import Options, TextBackbone
from recbench.testing.data import TitlesOnly, tiny_split
from recbench.types import Split

if TYPE_CHECKING:
    import torch

    from recbench.interfaces import Names
    from recbench.interfaces.identifiers import Shows
    from recbench.language.textmodel import TextModel
    from recbench.training.answers import AnswerBatch


def tiny_text_model(
    split: Split | None = None,
    backbone: TextBackbone[Any] | None = None,
    seed: int = 0,
    apart: bool = False,
    names: Names | None = None,
    shows: Shows = "identifiers",
) -> TextModel:
    """A random two-layer Llama of width 32 with a tokenizer trained on the catalogue, in evaluation mode on the CPU.

    Args:
        split: the data, :func:`tiny_split` by default.
        backbone: makes the prompts, :class:`TitlesOnly` by default; its collaborative tokens are installed.
        seed: of the weights.
        apart: whether every title of a history is tokenised by itself (``train.targets=all``).
        names: what stands for the items, their titles by default.
        shows: what stands for them in a history.
    """
    from recbench.language import collaborative as tokens
    from recbench.language import tiny
    from recbench.language.load import load_tokenizer
    from recbench.language.textmodel import TextModel
    from recbench.prompts.encode import Encoder, name_trie
    from recbench.prompts.names import shown_in_history, with_tokens
    from recbench.prompts.templates import template
    from recbench.seeds.everything import seed_everything
    from recbench.spec.llm import TinyOptions

    split = split or tiny_split()
    backbone = backbone or TitlesOnly(Options())
    with scratch() as folder:
        tiny.train_tokenizer(split.catalog.titles, 300, folder)
        tokenizer = load_tokenizer(str(folder))
    tokenizer = tokenizer if names is None else with_tokens(tokenizer, names.tokens)
    seed_everything(seed, "tiny text model")
    lm = tiny.build(TinyOptions(vocabulary=300, hidden=32, layers=2, heads=2, intermediate=64), tokenizer)
    vocabulary = lm.get_input_embeddings().num_embeddings
    vectors = backbone.item_vectors()
    rows = None
    if vectors is not None:
        width = lm.get_input_embeddings().embedding_dim
        shown = backbone.case_vectors(split.test.histories())
        users = None if shown is None else backbone.case_projector(shown.shape[1], width)
        embedding = tokens.install(lm, vectors, backbone.projector(vectors.shape[1], width), users)
        if shown is not None:
            rows = tokens.case_rows(embedding, backbone)
    frame = template("titles", "items")
    trie = name_trie(tokenizer, frame, split.catalog, names)
    encoder = Encoder.create(tokenizer, frame, split.catalog, backbone, vocabulary, trie=trie)
    if names is not None:
        bodies, titles = [answer[:-1] for answer in encoder.answers], split.catalog.titles
        encoder = replace(encoder, shown=shown_in_history(tokenizer, frame, names, bodies, titles, shows))
    encoder = replace(encoder, case_rows=rows, apart=apart)
    return TextModel(lm.eval(), encoder, "cpu")


def tiny_answers(
    logits: torch.Tensor, allowed: list[list[int]], labels: list[int], rows: list[int], training: bool = False
) -> AnswerBatch:
    """Answer positions whose hidden states *are* their logits (the output matrix is the identity).

    Args:
        logits: [N, V]; gradients flow to it.
        allowed: N ascending lists of valid tokens.
        labels: N right tokens.
        rows: N titles that the positions belong to, those of a title in order.
        training: whether a loss may update running estimates.
    """
    import torch

    from recbench.training.answers import AnswerBatch

    vocabulary = logits.shape[1]
    head = torch.nn.Linear(vocabulary, vocabulary, bias=False, dtype=logits.dtype)
    head.weight.requires_grad_(False).copy_(torch.eye(vocabulary))
    sizes = torch.tensor([0, *map(len, allowed)])
    return AnswerBatch(
        labels=torch.tensor(labels, dtype=torch.long),
        hidden=logits,
        head=head,
        row=torch.tensor(rows, dtype=torch.long),
        depth=torch.tensor([rows[:n].count(row) for n, row in enumerate(rows)], dtype=torch.long),
        indptr=sizes.cumsum(0),
        allowed=torch.tensor([t for tokens in allowed for t in tokens], dtype=torch.long),
        training=training,
    )
