"""Real data that lies beside a full checkout, never in it."""

from pathlib import Path

import pytest

FORENSICS = Path(__file__).parents[2] / "shared" / "data" / "forensics"

needs_forensics = pytest.mark.skipif(
    not FORENSICS.is_dir(),
    reason="the results of polling stations lie in ../shared/data/forensics, beside a "
    "full checkout",
)

REAL = FORENSICS.parent / "real"

needs_real = pytest.mark.skipif(
    not REAL.is_dir(),
    reason="the curve of a real vote lies in ../shared/data/real, beside a full checkout",
)
