"""Signatures of records: OpenSSH's own, in a file next to the record, made by ``ssh-keygen -Y sign -n recbench``.

Whoever uses git has ssh-keygen and, as a rule, a key whose public half a forge publishes already; it works offline and
adds no dependency. ``allowed_signers`` next to the folder of records says whose keys are known, as for signed commits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from recbench.files import read_regular, write_atomic

SUFFIX = ".sig"
NAMESPACE = "recbench"
SIGNERS = "allowed_signers"
LARGEST = 2**16  # bytes of a signature


class Signed(NamedTuple):
    """What a signature is worth: what is wrong with it, and what is to be known."""

    mismatches: list[str]
    notes: list[str]


def checked(path: Path, signers: Path) -> Signed:
    """Check the signature of a record, if there is one.

    Args:
        path: the record; its signature is ``path`` with ``.sig``.
        signers: whose keys are known; it need not exist.
    """
    signature = path.with_name(path.name + SUFFIX)
    if not signature.is_file():
        return Signed([], [])
    if shutil.which("ssh-keygen") is None:
        return Signed([], ["its signature is not checked: there is no ssh-keygen here"])
    known = ["-f", str(signers)] if signers.is_file() else []
    unknown, said = _keygen("find-principals", signature, *known) if known else (1, "")
    who = "" if unknown else _first(said)
    words = ["verify", "-I", who] if who else ["check-novalidate"]
    code, said = _keygen(words[0], signature, *(known if who else []), *words[1:], "-n", NAMESPACE, record=path)
    if code:
        why = _first(said) or "ssh-keygen refused it"
        return Signed([f"{signature.name} is not a signature of this file ({why})"], [])
    key = found[0] if (found := re.search(r"SHA256:\S+", said)) else "an unnamed key"
    by = f"{who} ({key})" if who else f"a key that {signers.name} does not name: {key}"
    return Signed([], [f"signed by {by}"])


def _keygen(verb: str, signature: Path, *words: str, record: Path | None = None) -> tuple[int, str]:
    """Run ``ssh-keygen -Y verb``; returns its exit code and what it said."""
    content = read_regular(record) if record else b""
    command = ["ssh-keygen", "-Y", verb, "-s", str(signature), *words]
    done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def _first(said: str) -> str:
    return said.strip().splitlines()[0] if said.strip() else ""


def follow(source: Path, target: Path) -> bool:
    """Copy a record's signature if the record was copied byte for byte; otherwise remove any signature at the target.

    Returns:
        whether there was a signature that does not fit the copy.

    Raises:
        RecbenchError: it cannot be written.
    """
    old, new = (path.with_name(path.name + SUFFIX) for path in (source, target))
    if old.is_file() and read_regular(source) == read_regular(target):
        write_atomic(new, read_regular(old, LARGEST))
        return False
    new.unlink(missing_ok=True)
    return old.is_file()
