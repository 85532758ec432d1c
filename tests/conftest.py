"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

# A law is no slower to be true on a busy machine: no example is failed for its time.
settings.register_profile("hpsearch", deadline=None, print_blob=True)
settings.load_profile("hpsearch")
