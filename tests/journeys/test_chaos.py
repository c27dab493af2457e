"""The short form of `make chaos`: what breaks at random leaves every figure right."""

import os
import re
import subprocess
import sys

from django.conf import settings

FAULTS, SEED = 12, 20260918
# Sixty seconds on two idle cores; the rest is for busy ones.
SECONDS = 180
# What pytest and its coverage say in the environment is for this process alone.
NOT_INHERITED = ("VAR_DIR", "DJANGO_SETTINGS_MODULE")


def test_a_dozen_faults_lose_nothing_double_nothing_and_leave_nothing_undone():
    words = [f"--faults={FAULTS}", f"--seed={SEED}", f"--seconds={SECONDS}"]
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words],
        cwd=settings.BASE_DIR,
        env={k: v for k, v in os.environ.items() if k not in NOT_INHERITED},
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )

    told = run.stdout + run.stderr
    assert re.search(r"^\d+ faults: 0 lost, 0 doubled, 0 stuck$", told, re.M), told
    assert run.returncode == 0, told
