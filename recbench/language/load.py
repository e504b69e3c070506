"""Loading causal language models: a folder, a hub identifier or a GGUF file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from recbench.errors import RecbenchError, UsageError
from recbench.spec.llm import TINY, PretrainedOptions


def check_source(name: str) -> None:
    """Refuse a language model that plainly is not there, before anything long is done.

    Raises:
        UsageError: a path that does not exist, or a folder without a config.json.
    """
    path = Path(name)
    looks_local = name.startswith((".", "/", "~")) or name.endswith(".gguf") or path.exists()
    if not looks_local:
        if "/" not in name and difflib.get_close_matches(name, [TINY], cutoff=0.6):
            raise UsageError(f"--llm {name!r} is no folder here: did you mean 'tiny'?")
        if name.count("/") > 1 or any(c.isspace() for c in name):
            raise UsageError(f"--llm {name!r} is no folder here and no hub identifier (which reads OWNER/NAME).")
        return
    path = path.expanduser()
    if not path.exists():
        raise UsageError(
            f"--llm {name!r} does not exist: give 'tiny', a model folder, a .gguf file or a hub identifier."
        )
    if path.is_dir() and not (path / "config.json").is_file():
        raise UsageError(f"--llm {name!r} has no config.json: give the folder that save_pretrained() wrote.")
    if path.is_file() and path.suffix != ".gguf":
        raise UsageError(f"--llm {name!r} is a file but not a .gguf one: give a model folder or a .gguf file.")


def is_gguf(name: str) -> bool:
    """Whether ``--llm`` names a GGUF file."""
    return name.endswith(".gguf")


def convert_gguf(file: str, folder: Path) -> None:
    """Dequantise a GGUF checkpoint into ``folder`` as safetensors (reading GGUF takes about 20 s, this is done once).

    Raises:
        RecbenchError: the file is no GGUF checkpoint that transformers can read, or the ``gguf`` package is missing.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(file).expanduser()
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    except ImportError as error:
        raise RecbenchError(f"Reading {path.name} needs: pip install 'recbench-toolkit[gguf]' ({error}).") from error
    except Exception as error:  # transformers and gguf raise a different type for every kind of damage
        raise RecbenchError(f"{path.name} cannot be read as a GGUF checkpoint: {_first_line(error)}") from error
    # a model that was read from GGUF counts as quantised and refuses to be saved, so its weights move to a plain one
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    tokenizer.save_pretrained(folder)
    plain.save_pretrained(folder)


def load_tokenizer(name: str, revision: str = "") -> Any:
    """The fast tokenizer of a model folder or hub identifier (at ``revision``), with a padding token.

    Raises:
        RecbenchError: it cannot be loaded; says from where and why.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **({"revision": revision} if revision else {}))
    except Exception as error:  # hub, network, file and format errors all mean: not loaded
        raise RecbenchError(f"No tokenizer could be loaded from {name!r}: {_first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_pretrained(name: str, options: PretrainedOptions, device: str) -> Any:
    """A pretrained causal LM with fresh LoRA adapters; the caller seeds the global generator first.

    Raises:
        UsageError: 8 or 4 bits without CUDA.
        RecbenchError: the model cannot be loaded, or has none of the LoRA target modules.
    """
    import torch
    from transformers import AutoModelForCausalLM

    extra: dict[str, Any] = {"revision": options.revision} if options.revision else {}
    if options.bits < 16:
        if not device.startswith("cuda"):
            raise UsageError(f"llm.bits={options.bits} needs a CUDA device: use --device cuda, or llm.bits=16.")
        from transformers import BitsAndBytesConfig

        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_8bit=options.bits == 8,
            load_in_4bit=options.bits == 4,
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_quant_type="nf4",
        )
        extra["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    dtype = torch.bfloat16 if options.precision == "bf16" and options.bits == 16 else torch.float32
    try:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **extra)
    except Exception as error:  # see load_tokenizer
        raise RecbenchError(f"No language model could be loaded from {name!r}: {_first_line(error)}") from error
    for trait in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(model.config, trait, None) not in (None, 1, 1.0):
            # The losses read logits straight off the output matrix; a model that rescales them afterwards would be
            # trained on other numbers than it decodes with.
            raise RecbenchError(f"{name!r} rescales its logits ({trait}), which recbench does not support yet.")
    return model


def checkpoint(model: Any) -> None:
    """Compute activations again in the backward pass instead of keeping them."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()


def attach_lora(model: Any, options: PretrainedOptions, extra_modules: list[str]) -> Any:
    """Wrap ``model`` in LoRA adapters; ``extra_modules`` (a projector) are trained and saved in full.

    Raises:
        UsageError: none of ``llm.lora_targets`` names a module of the model.
    """
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if options.bits < 16:
        model = prepare_model_for_kbit_training(
            model,
            use_gradient_checkpointing=options.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    elif options.gradient_checkpointing:
        checkpoint(model)
    config = LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_targets),
        modules_to_save=extra_modules or None,
        task_type="CAUSAL_LM",
    )
    tied = (model.get_input_embeddings(), model.get_output_embeddings())
    wanted = set(options.lora_targets)
    if any(module in tied and name.split(".")[-1] in wanted for name, module in model.named_modules()):
        raise UsageError(
            f"llm.lora_targets={','.join(options.lora_targets)} names an embedding or output matrix, which losses and "
            "decoders read directly: adapt the layers between them."
        )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise UsageError(
            f"llm.lora_targets={','.join(options.lora_targets)} fits no module of the model: {error}"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
