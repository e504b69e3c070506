"""Data for the browser: JSON that stays data inside a page, numbers as base64, files that a page loads when asked."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from recbench.site.html import Html

DIGITS = 6


def embedded(value: Any, class_: str) -> Html:
    """A JSON value inside a page, in an element that no browser runs."""
    return Html(f'<script type="application/json" class="{class_}">{_json(value)}</script>')


def script(key: str, value: Any) -> bytes:
    """The same as a file, which hands it to the page's script: this works where a page is opened from a file, too."""
    return f"recbench.put({_json(key)},{_json(value)});\n".encode()


def _json(value: Any) -> str:
    """ASCII JSON in which no tag begins or ends."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def base64_of(values: npt.NDArray[Any], kind: str) -> str:
    """Numbers as little-endian bytes (``<f8``, ``<f4``) in base64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


def rounded(value: float | None) -> float | None:
    """A number to draw or to show: six digits, None where there is none."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
