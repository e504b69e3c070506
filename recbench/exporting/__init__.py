"""A tuned language model as a plain transformers folder: weights, tokenizer, catalogue, trie and a model card."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.errors import UsageError
from recbench.exporting.card import card
from recbench.files import explained
from recbench.interfaces import USER

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.spec.model import LanguageModel
    from recbench.trained import Trained

MARK = "\ue000"  # a private character: no template has it
CATALOGUE, TRIE, PROMPT, CARD = "catalogue.jsonl", "trie.npz", "prompt.json", "README.md"


def export(trained: Trained, folder: Path, merged: bool = False) -> Path:
    """Write a trained language model into a folder that transformers can open without recbench.

    Collaborative tokens become rows of the embedding table, called ``<item:ID>`` by the tokenizer.

    Args:
        trained: from :func:`recbench.load`; its model is changed, so load it again to use it further.
        folder: a new or empty folder.
        merged: the whole model with the adapters merged in, not the adapters alone. A model without adapters, such as
            the tiny one, is always written whole.

    Returns:
        The folder.

    Raises:
        UsageError: the run has no language model, the folder is not empty, or a prompt needs more than the folder can
            hold (A-LLMRec's token of each user; collaborative or new tokens or a cut model next to unmerged adapters).
        RecbenchError: something cannot be written; nothing is left then.
    """
    base = _refuse(trained, folder, merged)
    model: TextModel = trained.model
    with explained(f"writing {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            place = Path(scratch) / "model"
            tokenizer = model.encoder.tokenizer
            if merged or not _adapted(model):
                _whole(model, tokenizer, trained.split.catalog.ids).save_pretrained(place)
            else:
                for config in model.lm.peft_config.values():  # a local one by name: its place is this machine's
                    config.base_model_name_or_path = base.place if base.commit else base.name
                model.lm.save_pretrained(place)
            tokenizer.save_pretrained(place)
            _catalogue(trained, place / CATALOGUE)
            model.encoder.trie.save(place / TRIE)
            prompt = _prompt(trained)
            (place / PROMPT).write_text(json.dumps(prompt, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            (place / CARD).write_text(card(trained, merged or not _adapted(model)), encoding="utf-8")
            if folder.exists():
                folder.rmdir()  # empty: see above
            shutil.move(place, folder)
    return folder


def _refuse(trained: Trained, folder: Path, merged: bool) -> LanguageModel:
    """The language model, if it can be exported."""
    name, base = trained.spec.recommender.backbone.name, trained.spec.recommender.llm
    if base is None:
        raise UsageError(f"{trained.record.run}: export writes language models, and {name} has none.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} already exists and is not an empty folder: choose another.")
    model: TextModel = trained.model
    if base.called != base.name and _adapted(model) and not merged:
        raise UsageError(f"Adapters of {base.called} do not fit the whole model: export it with --merged.")
    if not merged and _adapted(model) and model.encoder.new_tokens:
        naming = trained.spec.recommender.naming.name
        raise UsageError(f"--identifier {naming} has tokens that the base model lacks: export it with --merged.")
    embedding = model.collaborative
    if embedding is None:
        return base
    if embedding.case_projector is not None:
        raise UsageError(f"{name} puts a vector of each user into its prompts, which no transformers folder can hold.")
    if _adapted(model) and not merged:
        raise UsageError(f"{name} has collaborative tokens, which an adapter does not hold: export it with --merged.")
    return base


def _adapted(model: TextModel) -> bool:
    return hasattr(model.lm, "merge_and_unload")


def _whole(model: TextModel, tokenizer: Any, ids: tuple[str, ...]) -> Any:
    """The causal language model with everything that was trained inside it."""
    embedding = model.collaborative
    lm = model.lm.merge_and_unload() if _adapted(model) else model.lm
    if embedding is not None:
        _add_items(lm, embedding, tokenizer, ids)
    return lm


def _add_items(lm: Any, embedding: Any, tokenizer: Any, ids: tuple[str, ...]) -> None:
    """Turn collaborative tokens into plain ones: rows of the tables, words of the tokenizer."""
    import torch
    from torch import nn

    text, items = embedding.num_embeddings, len(ids)
    with torch.inference_mode():
        rows = embedding(torch.arange(text, text + items, device=embedding.weight.device))
    grown = nn.Embedding(text + items, embedding.embedding_dim).to(rows)
    with torch.no_grad():
        grown.weight[:text] = embedding.weight
        grown.weight[text:] = rows
    lm.set_input_embeddings(grown)
    lm.config.get_text_config().vocab_size = text + items
    if lm.config.tie_word_embeddings:
        lm.tie_weights()
    else:
        head = lm.get_output_embeddings()
        wide = nn.Linear(head.in_features, text + items, bias=head.bias is not None).to(rows)
        with torch.no_grad():
            for new, old in ((wide.weight, head.weight), (wide.bias, head.bias)):
                if old is not None:
                    new.zero_()
                    new[:text] = old
        lm.set_output_embeddings(wide)
    unused = [f"<unused:{n}>" for n in range(len(tokenizer), text)]  # rows that no token of the text has
    tokenizer.add_tokens([*unused, *(f"<item:{name}>" for name in ids)])


def _catalogue(trained: Trained, path: Path) -> None:
    """One line an item: its id, its title, what a history shows of it, and the tokens that generate it."""
    catalog, encoder = trained.split.catalog, trained.model.encoder
    shown = [encoder.text(item) for item in range(len(catalog))]
    rows = zip(catalog.ids, catalog.titles, shown, encoder.answers, strict=True)
    lines = [
        json.dumps({"item": i, "title": t, "shown": s, "tokens": list(a)}, ensure_ascii=False) for i, t, s, a in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _prompt(trained: Trained) -> dict[str, Any]:
    """How a history becomes text: ``before``, each item as shown, ``token`` and ``between`` between them, ``after``.

    With ``apart`` each of them is tokenised by itself, else their text as a whole.
    """
    encoder = trained.model.encoder
    first, second = (encoder.template.quote(f"{MARK}{letter}{MARK}") for letter in "ab")
    pieces = encoder.backbone.prompt([first, second], [0, 1], encoder.template)
    assert USER not in pieces, "refused before"
    text = "".join(piece if isinstance(piece, str) else f"{MARK}{piece}{MARK}" for piece in pieces)
    before, _, rest = text.partition(first)
    middle, _, tail = rest.partition(second)
    shown, found, between = middle.rpartition(f"{MARK}0{MARK}")
    suffix = f"{shown}<item:{{id}}>" if found else ""
    after = tail.removeprefix(f"{shown}{MARK}1{MARK}") if found else tail
    if encoder.chat is not None:  # special tokens spelled out: the card's code tokenises them as such
        before, after = encoder.chat.before + before, after + encoder.chat.after
    return {
        "begin": encoder.beginning(),
        "before": before,
        "title": encoder.template.title,
        "token": suffix,
        "between": between if found else middle,
        "after": after,
        "apart": encoder.apart or encoder.shown is not None,
        "max_tokens": encoder.max_tokens,
    }
