"""Which commit of a hub model is meant: asked of the hub, or of its cache here where the hub is out of reach."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbench.errors import RecbenchError, UsageError

TIMEOUT = 5.0  # seconds until a hub that does not answer counts as out of reach
COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Commit:
    """A commit of a hub model.

    Attributes:
        hash: 40 hexadecimal digits.
        local: the hub is out of reach, so only files of the cache can be loaded.
        note: a sentence about that; empty otherwise.
    """

    hash: str
    local: bool = False
    note: str = ""


def commit_of(name: str, revision: str = "") -> Commit:
    """The commit that a branch, a tag or a commit of a hub model names; an empty revision means the newest.

    Raises:
        UsageError: the hub does not know the model or the revision, does not let you in, or has no model that fits.
        RecbenchError: the hub is out of reach and its cache on this machine has no copy.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.errors import RevisionNotFoundError as NoRevision

    said = f"--llm {name}"
    try:
        api = HfApi()
        info = api.model_info(name, revision=revision or None, timeout=TIMEOUT)
        if info.gated:
            api.auth_check(name)
        _check_files(said, {file.rfilename for file in info.siblings or ()})
        if not COMMIT.fullmatch(info.sha or ""):
            raise ValueError("its answer names no commit")
        return Commit(str(info.sha))
    except UsageError:
        raise
    except GatedRepoError as error:
        raise UsageError(f"{said} is gated: ask for access on its page, then log in with `hf auth login`.") from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"{said}: the hub has no model of this name that you may see; log in with `hf auth login` if it is private."
        ) from error
    except NoRevision as error:
        raise UsageError(f"llm.revision={revision}: {name} has no branch, tag or commit of this name.") from error
    except HFValidationError as error:
        raise UsageError(f"{said} is neither a folder here nor a hub identifier (OWNER/NAME).") from error
    except Exception as error:  # a network, a proxy or what answers in the hub's place can fail in any way
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else 500
        if status < 500 and status not in (408, 429):
            raise UsageError(f"{said}: the hub refuses it ({first_line(error)}).") from error
        return _local_commit(said, name, revision, error)


def _check_files(said: str, files: set[str]) -> None:
    """Refuse a repository that holds something else than a model, by the names of its files."""
    if "adapter_config.json" in files:
        raise UsageError(adapter(said))
    weights = any(file.endswith(".safetensors") and "/" not in file for file in files)
    if not files or ("config.json" in files and weights):
        return
    if any(file.endswith(".gguf") for file in files):
        raise UsageError(f"{said} holds GGUF files: download one and give its path.")
    lacks = "config.json" if "config.json" not in files else ".safetensors weights, and recbench opens no pickled ones"
    raise UsageError(f"{said} has no {lacks}.")


def _local_commit(said: str, name: str, revision: str, error: Exception) -> Commit:
    """The newest copy in the hub's cache, of ``revision`` where one is asked for."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.file_download import repo_folder_name

    off = isinstance(error, OfflineModeIsEnabled)
    why = f"the hub cannot be reached ({'HF_HUB_OFFLINE is set' if off else first_line(error)})"
    folder = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    found: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        snapshots = folder / "snapshots"
        if revision:
            ref = folder / "refs" / revision
            found = [snapshots / (ref.read_text().strip() if ref.is_file() else revision)]
        else:
            found = sorted(snapshots.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        found = [path for path in found if COMMIT.fullmatch(path.name) and complete(path)]
    wanted = f" of revision {revision}" if revision else ""
    if not found:
        raise RecbenchError(
            f"{said}: {why} and there is no local copy{wanted}; check the network, or give a model folder."
        ) from error
    commit = found[0].name
    which = f"the local copy{wanted}" if revision else "the newest local copy"
    return Commit(commit, True, f"{said}: {why}, using {which}, commit {commit}")


def complete(snapshot: Path) -> bool:
    """Whether a copy has a configuration and weights; a link whose file is gone counts as none."""
    return (snapshot / "config.json").is_file() and any(path.is_file() for path in snapshot.glob("*.safetensors"))


def adapter(said: str) -> str:
    """Why an adapter is refused."""
    return (
        f"{said} is an adapter, not a model: merge it into its base model first (PEFT's merge_and_unload, then "
        "save_pretrained) and give that folder."
    )


def first_line(error: Any) -> str:
    """The type and the first line of an error of another library."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.') if lines else 'no message'}"
