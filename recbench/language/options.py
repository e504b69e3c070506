"""The two kinds of language model and their options; light enough to plan a run without torch."""

from __future__ import annotations

from typing import Literal

from recbench.interfaces import Options

TINY = "tiny"


class TinyOptions(Options):
    """A Llama of about a million parameters, from random initialisation, every weight trained."""

    vocabulary: int = 4096  # byte-level BPE, trained on the training prompts and the catalogue's titles
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    intermediate: int = 384
    template: str = "titles"
    max_tokens: int = 512
    precision: Literal["fp32", "bf16"] = "fp32"


class PretrainedOptions(Options):
    """A pretrained causal LM, tuned through LoRA at the MSL paper's defaults (its code's ``train.py``)."""

    lora_rank: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    lora_targets: tuple[str, ...] = ("q_proj", "v_proj")
    bits: Literal[4, 8, 16] = 16  # of the frozen base weights; 4 and 8 need CUDA and bitsandbytes
    template: str = "paper"
    max_tokens: int = 512
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False


def options_of(llm: str) -> type[TinyOptions] | type[PretrainedOptions]:
    """The options class of ``--llm``'s value."""
    return TinyOptions if llm == TINY else PretrainedOptions
