"""The model card of an exported language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench.evaluation import seed_means

if TYPE_CHECKING:
    from recbench.trained import Trained

CODE = '''\
import json
import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig


def recommend(folder, history, k=10):
    """The k best items after a history of (id, title) pairs, oldest first, as (id, title) pairs."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    frame = json.loads(Path(folder, "prompt.json").read_text(encoding="utf-8"))
    lines = Path(folder, "catalogue.jsonl").read_text(encoding="utf-8").splitlines()
    catalogue = [json.loads(line) for line in lines]
    following, items = {}, {}
    shown = {item["item"]: item["shown"] for item in catalogue}
    for item in catalogue:
        tokens = tuple(item["tokens"])
        items[tokens] = item
        for n in range(len(tokens)):
            following.setdefault(tokens[:n], set()).add(tokens[n])
    pieces = [frame["before"]]
    for place, (name, _) in enumerate(history):
        pieces += [frame["between"]] * (place > 0)
        pieces += [shown[name], frame["token"].format(id=name)]
    pieces.append(frame["after"])
    if not frame["apart"]:  # recbench tokenises what is between two items' own tokens as one text
        pieces = re.split("(<item:[^<>]*>)", "".join(pieces)) if frame["token"] else ["".join(pieces)]
    texts = filter(None, pieces)
    tokens = [token for text in texts for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
    ids = torch.tensor([frame["begin"] + tokens])
    end = tokenizer.eos_token_id
    model.generation_config = GenerationConfig(
        num_beams=BEAMS,
        num_return_sequences=k,
        do_sample=False,
        length_penalty=0.0,
        renormalize_logits=True,  # over the tokens that continue a title
        max_new_tokens=max(map(len, items)),
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end,
    )
    width = ids.shape[1]
    rows = model.generate(
        ids,
        attention_mask=ids.new_ones(ids.shape),
        prefix_allowed_tokens_fn=lambda _, row: sorted(following.get(tuple(row[width:].tolist()), {end})),
        logits_processor=[lambda _, scores: scores / TEMPERATURE],
    )[:, width:].tolist()
    found = []
    for row in rows:
        tokens = tuple(row[: row.index(end) + 1] if end in row else row)
        found.append((items[tokens]["item"], items[tokens]["title"]))
    return found
'''


def card(trained: Trained, whole: bool) -> str:
    """The card as Markdown.

    Args:
        trained: what is exported.
        whole: whether the folder holds the whole model, or adapters alone.
    """
    record, own = trained.record, trained.spec.recommender
    assert own.llm is not None
    labels = " + ".join(part for part in (record.labels.method, record.labels.loss) if part)
    lines = ["---", "library_name: transformers", "pipeline_tag: text-generation", "tags: [recommendation, recbench]"]
    if own.llm.commit:
        lines.append(f"base_model: {own.llm.place or own.llm.name}")
    lines += ["---", "", f"# {labels} on {record.dataset.name}", ""]
    lines.append(
        f"A language model ({own.llm.called}) that recommends: its prompt lists what a user chose, and it writes the "
        f"title of the next item. Seed {trained.result.seed} of the recbench run `{record.run}`."
    )
    lines += ["", *_figures(trained), "", "```bash", record.command, "```", "", "## Files", ""]
    what = "the model" if whole else "the adapters (open them with peft on the base model)"
    lines += [
        f"- `model.safetensors`, `config.json`, tokenizer: {what}" if whole else f"- `adapter_*`, tokenizer: {what}",
        "- `catalogue.jsonl`: each item's id, title, how a history shows it, and the tokens that generate it",
        "- `trie.npz`: the same tokens as recbench's token trie",
        "- `prompt.json`: the words around a history",
        "",
    ]
    options = own.decoder.options if own.decoder else None
    with trained.model.at(trained.decoder.temperature):
        temperature = trained.model.temperature
    if temperature != 1.0:
        lines += [f"Its probabilities of tokens are softmax(logits / {temperature:g}).", ""]
    if whole:
        beams = getattr(options, "beams", 10)
        code = CODE.replace("BEAMS", str(beams)).replace("TEMPERATURE", str(temperature))
        lines += [
            "## Recommend with transformers alone",
            "",
            "```python",
            code.rstrip(),
            "```",
            "",
        ]
    return "\n".join(lines)


def _figures(trained: Trained) -> list[str]:
    """The run's metrics: of this seed, and over all of them."""
    record, results = trained.record, trained.record.case_results()
    seed = [result.seed for result in record.seeds].index(trained.result.seed)
    n = len(record.seeds)
    head = [f"| metric | seed {trained.result.seed} | mean of {n} seeds | sd |", "|---|---|---|---|"]
    rows = []
    for name, values in seed_means(results).items():
        spread = f"{values.std(ddof=1):.4f}" if n > 1 else "–"
        rows.append(f"| {name} | {values[seed]:.4f} | {values.mean():.4f} | {spread} |")
    cases = f"{len(record.cases.users):,} test cases of {record.dataset.name} ({record.cases.label})"
    return [f"On {cases}:", "", *head, *rows]
