"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A test gives the same result twice: it is not told by a busy machine's clock, and not by chance. Chance is for looking
# for new cases: HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
