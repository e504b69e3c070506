"""The two kinds of language model and their options; light enough to plan a run without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from recbench.interfaces import Options

TINY = "tiny"


class TinyOptions(Options):
    """A Llama of about a million parameters, from random initialisation, every weight trained."""

    vocabulary: int = Field(4096, ge=258, description="byte-level BPE, trained on the training prompts and the titles")
    hidden: int = Field(128, ge=1, description="width")
    layers: int = Field(2, ge=1, description="transformer layers")
    heads: int = Field(4, ge=1, description="attention heads; must divide hidden")
    intermediate: int = Field(256, ge=1, description="width of the feed-forward layers")
    template: Literal["titles", "paper"] = Field("titles", description="prompt template: titles or paper")
    max_tokens: int = Field(512, ge=16, description="longest prompt; the oldest items of a longer history are left out")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="precision of computation in training")

    @model_validator(mode="after")
    def _divisible(self) -> TinyOptions:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"heads={self.heads} does not divide hidden={self.hidden} into even parts")
        return self


class PretrainedOptions(Options):
    """A pretrained causal LM, tuned through LoRA at the MSL paper's defaults (its code's ``train.py``)."""

    revision: str = Field("", description="branch, tag or commit of a hub model; empty: the newest")
    layers: int = Field(
        0, ge=0, description="keep only the first N transformer layers, which gives a different model; 0 keeps all"
    )
    lora_rank: int = Field(8, ge=1, description="rank of the adapters")
    lora_alpha: int = Field(16, ge=1, description="scale of the adapters, times 1/rank")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="dropout before the adapters")
    adapt_last: int = Field(
        0,
        ge=0,
        description="put adapters only into the last N layers, whose input is computed once and cached; 0: into all "
        "layers",
    )
    lora_targets: tuple[str, ...] = Field(
        ("q_proj", "v_proj"), description="names of the adapted modules, separated by commas"
    )
    bits: Literal[4, 8, 16] = Field(16, description="bits of the frozen weights; 4 and 8 need CUDA and bitsandbytes")
    template: Literal["paper", "titles", "chat"] = Field(
        "paper", description="prompt template: paper, titles, or chat (turns in the model's own chat template)"
    )
    max_tokens: int = Field(512, ge=16, description="longest prompt; the oldest items of a longer history are left out")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="precision of weights and computation; bf16 by default on CUDA"
    )
    gradient_checkpointing: bool = Field(False, description="save memory in training at the cost of time")

    @field_validator("lora_targets", mode="before")
    @classmethod
    def _listed(cls, names: object) -> object:
        return tuple(name.strip() for name in names.split(",") if name.strip()) if isinstance(names, str) else names


LanguageModelOptions = TinyOptions | PretrainedOptions


def options_of(llm: str) -> type[TinyOptions] | type[PretrainedOptions]:
    """The options class of ``--llm``'s value."""
    return TinyOptions if llm == TINY else PretrainedOptions
