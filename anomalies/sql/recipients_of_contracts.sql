-- Gather whom the contracts of an election gave bulletins to.
-- Parameters: election. Returns: a row per contract: its id, and the digests of all its
-- recipients, 16 bytes each, in any order.
-- Reads all issues of the election once, wherever they lie (0.7 s for a million, half of
-- it the reading itself; finding repeats here took 1.8 s, as it sorted them): asking for
-- one contract after the other along the primary key took ten times as long where the rows
-- lie in the order of time. An array of recipients has no index.
SELECT ledger.constituency_id, string_agg(recipients, ''::bytea)
FROM elections_constituency AS constituency
JOIN transactions_transaction AS ledger
    ON ledger.constituency_id = constituency.id
WHERE constituency.election_id = %(election_id)s
    AND operation = 1
    AND outcome = 1
    AND NOT rolled_back
    AND recipients IS NOT NULL
GROUP BY 1
