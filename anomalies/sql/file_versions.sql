-- Find later versions of hour files, with what they say otherwise than the one before.
-- Parameters: election; how many vanished rows to show; the widths of a position's parts
-- (transactions.positions). Returns: constituency; hour; version; name and SHA-256 of this
-- file and of the one before; row hashes of both; ids with other content; ids whose state
-- this file changed or tried to change; number of vanished rows and the first ids.
SELECT
    later.constituency_id,
    later."interval" AT TIME ZONE 'UTC' AT TIME ZONE election.export_timezone AS hour,
    later.version,
    batch.name,
    encode(later.sha256, 'hex'),
    earlier_batch.name,
    encode(earlier.sha256, 'hex'),
    later.row_hashes,
    earlier.row_hashes,
    COALESCE(rewritten.tx_ids, '{}'),
    COALESCE(turned.tx_ids, '{}'),
    vanished.count,
    COALESCE(vanished.tx_ids, '{}')
FROM elections_constituency AS constituency
JOIN elections_election AS election ON election.id = constituency.election_id
JOIN transactions_feedhour AS later
    ON later.constituency_id = constituency.id AND later.version > 1
JOIN transactions_feedhour AS earlier
    ON earlier.constituency_id = later.constituency_id
    AND earlier."interval" = later."interval"
    AND earlier.version = later.version - 1
JOIN transactions_importbatch AS batch ON batch.id = later.batch_id
JOIN transactions_importbatch AS earlier_batch ON earlier_batch.id = earlier.batch_id
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT line.tx_id ORDER BY line.tx_id) AS tx_ids
    FROM transactions_conflictingrow AS line
    JOIN transactions_importbatch AS stored ON stored.id = line.stored_batch_id
    WHERE line.batch_id = later.batch_id
        AND line.kind = 'content'
        AND stored.constituency_id = later.constituency_id
        AND stored."interval" = later."interval"
        AND stored.sha256 <> later.sha256
        -- What contradicted itself in the version before has not changed since.
        AND NOT EXISTS (
            SELECT FROM transactions_conflictingrow AS known
            WHERE known.batch_id = earlier.batch_id
                AND known.kind = 'content'
                AND known.tx_id = line.tx_id
                AND known.incoming = line.incoming
        )
) AS rewritten
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT tx_id ORDER BY tx_id) AS tx_ids
    FROM (
        SELECT tx_id
        FROM transactions_rollbackevent AS flip
        WHERE flip.constituency_id = later.constituency_id
            AND flip.batch_id = later.batch_id
        UNION ALL
        -- A line that disagrees with what the hour's own file has said, not with what
        -- another hour's file said later.
        SELECT line.tx_id
        FROM transactions_conflictingrow AS line
        JOIN transactions_transaction AS ledger
            ON ledger.constituency_id = line.constituency_id
            AND ledger.tx_id = line.tx_id
        WHERE line.batch_id = later.batch_id
            AND line.kind = 'state'
            AND ledger."position" >> %(ordinal_bits)s = (
                (1::bigint << %(interval_bits)s)
                | (extract(epoch FROM later."interval") / 60)::bigint
            )
    ) AS states
) AS turned
CROSS JOIN LATERAL (
    SELECT
        count(*) AS count,
        (array_agg(row.tx_id ORDER BY row.tx_id))[1:%(shown)s] AS tx_ids
    FROM transactions_vanishedrow AS row
    WHERE row.batch_id = later.batch_id
) AS vanished
WHERE constituency.election_id = %(election_id)s
ORDER BY 1, 2, 3
