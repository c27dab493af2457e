"""H12: sums of a protocol that cannot be."""

from dataclasses import dataclass

import numpy as np

from anomalies.rules.stations import Counts, Stations


@dataclass(frozen=True, slots=True)
class ProtocolBreaks:
    """How many stations break each identity, and which break any."""

    # More ballots given out than people on the register.
    given_gt_voters: int
    # More ballots in the boxes than were given out.
    received_gt_given: int
    # More votes for the leader than ballots in the boxes.
    leader_gt_received: int
    # Positions of the stations, from 0.
    positions: Counts

    @property
    def total(self) -> int:
        """Return how many stations break at least one."""
        return int(self.positions.size)


def protocol_breaks(stations: Stations) -> ProtocolBreaks:
    """Return what cannot be in a protocol, H12.

    A register that grows on election day explains the first kind, nothing the others.
    """
    given = stations.given > stations.voters
    received = stations.received > stations.given
    leader = stations.leader > stations.received
    return ProtocolBreaks(
        given_gt_voters=int(given.sum()),
        received_gt_given=int(received.sum()),
        leader_gt_received=int(leader.sum()),
        positions=np.flatnonzero(given | received | leader),
    )
