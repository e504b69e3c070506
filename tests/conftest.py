"""Examples of property-based tests are the same on every run, so that a failure can be seen again anywhere."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("same", derandomize=True)
settings.load_profile("same")
