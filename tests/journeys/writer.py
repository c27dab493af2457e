"""`python -m tests.journeys.writer NAME CONTRACT…`: commits votes until it is stopped.

Says after each commit, once it was confirmed, whose vote it was.
"""

import itertools
import os
import random
import sys

import django


def main(name: str, contract_ids: list[str]) -> None:
    """Commit one vote after the other, each by a voter of its own."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "election_monitor.settings")
    django.setup()
    from transactions.services import load_rows

    chance = random.Random(name)
    for number in itertools.count():
        contract_id = chance.choice(contract_ids)
        vote = {
            "constituency": contract_id,
            "tx_id": f"{name}-{number}",
            "sender": f"{name}-{number}",
            "timestamp": "2026-09-18T09:10:00Z",
            "operation": "vote_cast",
        }
        load_rows([vote], source=name)
        sys.stdout.write(f"{contract_id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
