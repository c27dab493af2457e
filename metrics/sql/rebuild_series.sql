-- Count the minutes of an election in some hours, and write those that differ.
-- Parameters: the election; starts of UTC hours that MinuteStats has completely; starts of
-- those that only the ledger has, with the first and the end of them (nulls: none).
-- Returns: how many minutes were written or deleted.
-- The caller holds the locks of these hours, taken in an earlier statement.
WITH counted AS MATERIALIZED (
    SELECT
        stats.minute,
        sum(stats.bulletins_issued)::bigint AS bulletins_issued,
        sum(stats.votes_cast)::bigint AS votes_cast,
        sum(stats.revotes)::bigint AS revotes,
        sum(stats.transaction_count)::bigint AS transaction_count,
        sum(stats.failed_count)::bigint AS failed_count
    FROM unnest(%(recent)s::timestamptz[]) AS recent (hour)
    JOIN metrics_minutestats AS stats
        ON stats.minute >= recent.hour
        AND stats.minute < recent.hour + interval '1 hour'
    JOIN elections_constituency AS constituency
        ON constituency.id = stats.constituency_id
        AND constituency.election_id = %(election_id)s
    GROUP BY stats.minute
    HAVING sum(stats.transaction_count) > 0
    UNION ALL
    -- One read of the ledger, however many hours are asked for.
    SELECT
        date_bin('1 minute', ledger."timestamp", '2000-01-01Z') AS minute,
        COALESCE(
            sum(ledger.quantity) FILTER (WHERE operation = 1 AND outcome = 1), 0
        )::bigint,
        count(*) FILTER (WHERE operation = 2 AND counted),
        count(*) FILTER (WHERE operation = 2 AND outcome = 1 AND NOT counted),
        count(*),
        count(*) FILTER (WHERE outcome = 2)
    FROM transactions_transaction AS ledger
    JOIN elections_constituency AS constituency
        ON constituency.id = ledger.constituency_id
        AND constituency.election_id = %(election_id)s
    WHERE ledger."timestamp" >= %(past_start)s::timestamptz
        AND ledger."timestamp" < %(past_end)s::timestamptz
        AND date_bin('1 hour', ledger."timestamp", '2000-01-01Z')
            = ANY(%(past)s::timestamptz[])
        AND NOT ledger.rolled_back
    GROUP BY 1
), stored AS MATERIALIZED (
    SELECT series.*
    FROM unnest(%(recent)s::timestamptz[] || %(past)s::timestamptz[]) AS wanted (hour)
    JOIN metrics_electionminute AS series
        ON series.election_id = %(election_id)s
        AND series.minute >= wanted.hour
        AND series.minute < wanted.hour + interval '1 hour'
), deleted AS (
    DELETE FROM metrics_electionminute
    WHERE id IN (
        SELECT stored.id
        FROM stored
        LEFT JOIN counted USING (minute)
        WHERE counted.minute IS NULL
    )
    RETURNING id
), written AS (
    INSERT INTO metrics_electionminute AS series (
        election_id,
        minute,
        bulletins_issued,
        votes_cast,
        revotes,
        transaction_count,
        failed_count
    )
    SELECT
        %(election_id)s,
        minute,
        counted.bulletins_issued,
        counted.votes_cast,
        counted.revotes,
        counted.transaction_count,
        counted.failed_count
    FROM counted
    LEFT JOIN stored USING (minute)
    WHERE (
        stored.bulletins_issued,
        stored.votes_cast,
        stored.revotes,
        stored.transaction_count,
        stored.failed_count
    ) IS DISTINCT FROM (
        counted.bulletins_issued,
        counted.votes_cast,
        counted.revotes,
        counted.transaction_count,
        counted.failed_count
    )
    ON CONFLICT (election_id, minute) DO UPDATE SET
        bulletins_issued = excluded.bulletins_issued,
        votes_cast = excluded.votes_cast,
        revotes = excluded.revotes,
        transaction_count = excluded.transaction_count,
        failed_count = excluded.failed_count
    RETURNING id
)
SELECT (SELECT count(*) FROM written) + (SELECT count(*) FROM deleted)
