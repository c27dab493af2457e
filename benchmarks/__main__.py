"""`python -m benchmarks`: measure, print the table, exit 1 where a budget is missed."""

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.progress import say
from benchmarks.server import running_services
from benchmarks.sizes import DEFAULT, FULL, QUICK

NAMES = [
    "prepared",
    "large-files",
    "small-zips",
    "replay",
    "recompute",
    "updates",
    "anomalies",
    "answers",
    "live",
    "growth",
    "memory",
]


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    sizes = QUICK if options.quick else FULL if options.full else DEFAULT
    started = time.monotonic()
    try:
        with running_services():
            # Only now can the models be imported.
            from benchmarks import suite

            is_kept = suite.run(names=options.only or NAMES, sizes=sizes)
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    say(f"Done in {time.monotonic() - started:.0f} s.")
    return 0 if is_kept or options.quick else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES)
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="few rows: shows that it runs, no verdict"
    )
    size.add_argument(
        "--full", action="store_true", help="the sizes of the budgets; takes hours"
    )
    return parser


# Worker processes import this module under another name.
if __name__ == "__main__":
    sys.exit(main())
