-- Read the moments of an election.
-- Parameters: election id.
-- Returns: constituency and hour, then the figures of the issues and of the votes, each in
-- the order of anomalies.rules.within.FIGURES.
SELECT
    moments.constituency_id,
    moments.hour,
    issues_ballots,
    issues_acts,
    issues_dispersion,
    issues_freedom,
    issues_burst_acts,
    issues_burst_second,
    issues_burst_rate,
    issues_in_moment,
    issues_shared,
    issues_gap_variation,
    issues_longest_gap_ms,
    issues_longest_gap_start_ms,
    votes_ballots,
    votes_acts,
    votes_dispersion,
    votes_freedom,
    votes_burst_acts,
    votes_burst_second,
    votes_burst_rate,
    votes_in_moment,
    votes_shared,
    votes_gap_variation,
    votes_longest_gap_ms,
    votes_longest_gap_start_ms
FROM anomalies_hourmoments AS moments
JOIN elections_constituency AS constituency
    ON constituency.id = moments.constituency_id
WHERE constituency.election_id = %(election_id)s
ORDER BY 1, 2
