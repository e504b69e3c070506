"""Loading causal language models: a folder, a hub model at a commit or a GGUF file; whole, finite, and without code."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbench.errors import RecbenchError, UsageError
from recbench.files import scratch
from recbench.language import hub
from recbench.language.facts import CONFIGS, refuse_code
from recbench.language.hub import first_line
from recbench.language.layers import belongs, keep_first
from recbench.spec.llm import PretrainedOptions

MOST_LAYERS = 1000
SHOWN = 3  # names in a message about weights


def convert_gguf(file: str, folder: Path) -> None:
    """Dequantise a GGUF checkpoint into ``folder`` as safetensors (reading GGUF takes about 20 s, this is done once).

    Raises:
        RecbenchError: the file is not a GGUF checkpoint that transformers can read whole, its weights are not finite,
            or the ``gguf`` package is missing.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = Path(file)
    with scratch() as alone:  # what lies next to the file is not part of it
        (alone / path.name).symlink_to(path.resolve())
        plain: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False, "local_files_only": True}
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(alone), **plain)
            model, info = AutoModelForCausalLM.from_pretrained(
                str(alone), dtype=torch.float32, output_loading_info=True, **plain
            )
        except ImportError as error:
            raise RecbenchError(
                f"Reading {path.name} needs: pip install 'recbench-toolkit[gguf]' ({error})."
            ) from error
        except Exception as error:  # transformers and gguf raise a different type for every kind of damage
            raise RecbenchError(f"{path.name} cannot be read as a GGUF checkpoint: {first_line(error)}.") from error
    _refuse_unfit(path.name, info)
    _refuse_not_finite(path.name, model)
    # a model that was read from GGUF counts as quantised and refuses to be saved, so its weights move to a plain one
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.name_or_path = ""  # the temporary folder's
    whole = AutoModelForCausalLM.from_config(
        model.config, dtype=torch.float32, trust_remote_code=False, attn_implementation=_attention(model.config)
    )
    try:
        whole.load_state_dict(model.state_dict())
    except RuntimeError as error:
        raise RecbenchError(f"{path.name} does not hold the weights that its architecture has: {error}") from error
    tokenizer.save_pretrained(folder)
    whole.save_pretrained(folder)


def load_tokenizer(place: str, commit: str | None = None) -> Any:
    """The fast tokenizer of a model folder, or of a hub model at ``commit``, with a padding token.

    Raises:
        UsageError: its configuration needs its own code.
        RecbenchError: it cannot be loaded; says from where and why.
    """
    from transformers import AutoTokenizer

    where = _where(place, commit)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **where)
        tokenizer(["a title"])  # what its configuration says is first used here
    except Exception as error:  # hub, network, file and format errors all mean: not loaded
        raise RecbenchError(f"No tokenizer could be loaded from {place!r}: {first_line(error)}.") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_pretrained(place: str, commit: str | None, options: PretrainedOptions, device: str) -> Any:
    """A pretrained causal LM, its weights as they were saved.

    Args:
        place: a model folder or a hub identifier.
        commit: of a hub model; None for a folder.
        options: precision, bits, and how many of its layers are kept.
        device: cpu or cuda; quantised weights go there at once.

    Raises:
        UsageError: 8 or 4 bits without CUDA, fewer layers than are to be kept, or a configuration that needs its own
            code.
        RecbenchError: the model cannot be loaded, its weights do not fit its configuration or are not finite, or it
            rescales its logits.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    gc.collect()  # a model that was trained before refers to itself: memory may not hold two
    where = _where(place, commit)
    dtype = torch.bfloat16 if options.precision == "bf16" and options.bits == 16 else torch.float32
    extra = _quantised(options, device)
    try:
        config = AutoConfig.from_pretrained(place, **where)
        _refuse_absurd(config)
        gone = keep_first(config, options)
        model, info = AutoModelForCausalLM.from_pretrained(
            place,
            config=config,  # else what the file says about attention would win
            dtype=dtype,
            attn_implementation=_attention(config),
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # the report names them, an exception would not
            **where,
            **extra,
        )
    except UsageError:
        raise
    except Exception as error:  # see load_tokenizer
        raise RecbenchError(f"No language model could be loaded from {place!r}: {first_line(error)}.") from error
    surplus = [key for key in info["unexpected_keys"] if not belongs(key, gone)]
    _refuse_unfit(place, {**info, "unexpected_keys": surplus})
    _refuse_not_finite(place, model)
    for trait in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(model.config, trait, None) not in (None, 1, 1.0):
            # The losses read logits straight off the output matrix; a model that rescales them afterwards would be
            # trained on other numbers than it decodes with.
            raise RecbenchError(f"{place!r} rescales its logits ({trait}), which recbench does not support yet.")
    return model


def _where(place: str, commit: str | None) -> dict[str, Any]:
    """What every loading call is told: no code, and the network only for a hub model that the hub answers for.

    Raises:
        UsageError: the configuration needs its own code.
        RecbenchError: a hub model is unavailable, or a local folder has taken its name.
    """
    from transformers.utils import cached_file

    found: dict[str, Any] = {"local_files_only": True}
    if commit:
        if os.path.exists(place):  # transformers would take the folder
            raise RecbenchError(
                f"--llm {place} was a hub model, but a folder of that name is here now: run from another folder."
            )
        found = {"revision": commit, "local_files_only": hub.commit_of(place, commit).local}
    for config in CONFIGS:
        try:
            file = cached_file(place, config, _raise_exceptions_for_missing_entries=False, **found)
        except Exception as error:  # see load_tokenizer
            raise RecbenchError(f"{config} of {place!r} cannot be read: {first_line(error)}.") from error
        if file is not None:
            refuse_code(f"--llm {place}", Path(file))
    return {**found, "trust_remote_code": False}


def _attention(config: Any) -> str:
    """What transformers chooses by default; told, so that a configuration can name nothing else (a kernel to fetch)."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return "sdpa" if getattr(kind, "_supports_sdpa", True) else "eager"


def _refuse_absurd(config: Any) -> None:
    """Refuse what transformers would build for hours, or fail at in the middle of a training.

    Raises:
        RecbenchError: more layers than any model has, or a dropout that is not a share.
    """
    layers = getattr(config, "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise RecbenchError(f"its config.json asks for {layers:,} layers, but recbench builds at most {MOST_LAYERS:,}")
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, int | float) and not 0 <= value < 1:
            raise RecbenchError(f"its config.json says {name}={value}, which is not at least 0 and below 1")


def _quantised(options: PretrainedOptions, device: str) -> dict[str, Any]:
    """What loading in 8 or 4 bits takes.

    Raises:
        UsageError: without CUDA.
    """
    if options.bits == 16:
        return {}
    if not device.startswith("cuda"):
        raise UsageError(f"llm.bits={options.bits} needs a CUDA device: use --device cuda, or llm.bits=16.")
    import torch
    from transformers import BitsAndBytesConfig

    quantised = BitsAndBytesConfig(
        load_in_8bit=options.bits == 8,
        load_in_4bit=options.bits == 4,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_type="nf4",
    )
    return {"quantization_config": quantised, "device_map": {"": int(os.environ.get("LOCAL_RANK", "0"))}}


def _refuse_unfit(name: str, info: Mapping[str, Collection[Any]]) -> None:
    """Refuse weights that are not exactly those of the configuration.

    transformers leaves out of its report what is tied to another matrix, and buffers that older versions saved; one of
    those, the frequencies of rotary positions, it leaves out for some architectures only.

    Raises:
        RecbenchError: some are missing, of another shape, or have no place.
    """
    shapes = [f"{key} {list(there)} instead of {list(right)}" for key, there, right in info["mismatched_keys"]]
    surplus = [key for key in info["unexpected_keys"] if not key.endswith("rotary_emb.inv_freq")]
    for keys, what in (
        (info["missing_keys"], "missing"),
        (shapes, "of another shape"),
        (surplus, "without a place in it"),
        (info.get("error_msgs", ()), "unreadable"),
    ):
        if keys:
            first = ", ".join(sorted(keys)[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")
            raise RecbenchError(
                f"--llm {name}: its weights do not fit its config.json, with {len(keys)} {what} ({first})."
            )


def _refuse_not_finite(name: str, model: Any) -> None:
    """Refuse weights that are NaN or infinite.

    Raises:
        RecbenchError: names the first.
    """
    for key, weights in model.named_parameters():
        if not weights.is_floating_point() or bool(weights.detach().sum().isfinite()):
            continue  # a sum is finite only where all numbers are, and ten times as fast
        if not bool(weights.isfinite().all()):
            raise RecbenchError(f"--llm {name}: {key} holds NaN or infinite numbers, so the files are damaged.")


def _adapted_layers(model: Any, options: PretrainedOptions) -> list[int] | None:
    """The numbers of the layers that get adapters; None for all."""
    total = model.config.get_text_config().num_hidden_layers
    return list(range(total - options.adapt_last, total)) if options.adapt_last else None


def checkpoint(model: Any) -> None:
    """Compute activations again in the backward pass instead of keeping them."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()


def attach_lora(
    model: Any, options: PretrainedOptions, extra_modules: list[str], new_tokens: Sequence[int] = ()
) -> Any:
    """Wrap ``model`` in LoRA adapters.

    Args:
        model: the causal language model.
        options: of the adapters.
        extra_modules: trained and saved in full (a projector).
        new_tokens: ids whose rows are trained (:mod:`recbench.language.new_rows`).

    Raises:
        UsageError: none of ``llm.lora_targets`` names a module of the model.
    """
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    from recbench.language.new_rows import in_full_precision, trained_rows

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
        layers_to_transform=_adapted_layers(model, options),
        modules_to_save=extra_modules or None,
        trainable_token_indices=trained_rows(model, new_tokens) if new_tokens else None,
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
        with warnings.catch_warnings():
            # PEFT reads a name that transformers is about to rename
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise UsageError(
            f"llm.lora_targets={','.join(options.lora_targets)} fits no module of the model: {error}"
        ) from error
    return in_full_precision(adapted)
