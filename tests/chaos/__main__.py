"""`python -m tests.chaos`: break everything at random, then count.

Prints each fault, and at the end `N faults: 0 lost, 0 doubled, 0 stuck`; exits with 1
where one of the three is not 0, and keeps the logs then.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.services import running_stage, say

FAULTS, SECONDS = 200, 1_000
# What is left this long after the limit is killed.
GRACE_SECONDS = 60


def main(words: Sequence[str] | None = None) -> int:
    """Do what the module says."""
    options = _parser().parse_args(words)
    started = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    home = Path(tempfile.mkdtemp(prefix="election-monitor-chaos-"))
    say(f"Seed {options.seed}, in {home}")
    is_fine = False
    try:
        rng = random.Random(options.seed)
        with running_stage(home, rng, seconds=options.seconds + GRACE_SECONDS) as stage:
            # Only now can the models be imported.
            from tests.chaos.run import Run

            is_fine = Run(stage, options, started=started).run()
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    finally:
        if is_fine and not options.keep:
            shutil.rmtree(home, ignore_errors=True)
        else:
            say(f"The logs are in {home}/logs, the files in {home}/world.")
    return 0 if is_fine else 1


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=FAULTS, metavar="N")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), metavar="K"
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS,
        metavar="LIMIT",
        help="of the whole run: faults end well before it",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the logs also where all is well"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
