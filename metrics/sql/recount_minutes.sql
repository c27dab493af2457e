-- Count minutes again from the ledger and write those that differ.
-- Parameters: constituency ids; the first minute that is kept; start and end of a
-- half-open period, or nulls. Returns: a row for each minute written.
-- More minutes than the period has may be counted: it is widened to whole hours, which
-- begin elsewhere in each zone. A minute without a row counts as zeros.
-- The caller holds the locks of the constituencies, so nothing moves underneath.
WITH counted AS (
    SELECT
        constituency_id,
        date_bin('1 minute', "timestamp", '2000-01-01Z') AS minute,
        COALESCE(sum(quantity) FILTER (WHERE operation = 1 AND outcome = 1), 0)::bigint
            AS bulletins_issued,
        count(*) FILTER (WHERE operation = 2 AND counted) AS votes_cast,
        count(*) FILTER (WHERE operation = 2 AND outcome = 1 AND NOT counted) AS revotes,
        count(*) AS transaction_count,
        count(*) FILTER (WHERE outcome = 2) AS failed_count
    FROM transactions_transaction
    WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
        AND NOT rolled_back
        AND "timestamp" >= GREATEST(
            %(since)s::timestamptz, %(start)s::timestamptz - interval '2 hours'
        )
        AND (
            %(end)s::timestamptz IS NULL
            OR "timestamp" < %(end)s::timestamptz + interval '2 hours'
        )
    GROUP BY 1, 2
), stored AS (
    SELECT *
    FROM metrics_minutestats
    WHERE constituency_id = ANY(%(constituency_ids)s::bigint[])
        AND minute >= GREATEST(
            %(since)s::timestamptz, %(start)s::timestamptz - interval '2 hours'
        )
        AND (
            %(end)s::timestamptz IS NULL
            OR minute < %(end)s::timestamptz + interval '2 hours'
        )
), compared AS (
    SELECT
        constituency_id,
        minute,
        COALESCE(counted.bulletins_issued, 0) AS bulletins_issued,
        COALESCE(counted.votes_cast, 0) AS votes_cast,
        COALESCE(counted.revotes, 0) AS revotes,
        COALESCE(counted.transaction_count, 0) AS transaction_count,
        COALESCE(counted.failed_count, 0) AS failed_count,
        (
            COALESCE(stored.bulletins_issued, 0),
            COALESCE(stored.votes_cast, 0),
            COALESCE(stored.revotes, 0),
            COALESCE(stored.transaction_count, 0),
            COALESCE(stored.failed_count, 0)
        ) AS stored_figures
    FROM counted
    FULL JOIN stored USING (constituency_id, minute)
)
INSERT INTO metrics_minutestats AS stats (
    constituency_id,
    minute,
    bulletins_issued,
    votes_cast,
    revotes,
    transaction_count,
    failed_count
)
SELECT
    constituency_id,
    minute,
    bulletins_issued,
    votes_cast,
    revotes,
    transaction_count,
    failed_count
FROM compared
WHERE stored_figures IS DISTINCT FROM (
    bulletins_issued,
    votes_cast,
    revotes,
    transaction_count,
    failed_count
)
ORDER BY constituency_id, minute
ON CONFLICT (constituency_id, minute) DO UPDATE SET
    bulletins_issued = excluded.bulletins_issued,
    votes_cast = excluded.votes_cast,
    revotes = excluded.revotes,
    transaction_count = excluded.transaction_count,
    failed_count = excluded.failed_count
