-- Find transactions that came again with other content, per hour of the content that
-- counts. Left out is what a later version of the same hour file changed (H10).
-- Parameters: election; how many to show.
-- Returns: constituency, hour, number of transactions, and the first of them as JSON.
WITH conflict AS (
    SELECT DISTINCT ON (line.constituency_id, line.tx_id)
        line.constituency_id,
        date_trunc(
            'hour',
            (line.stored ->> 'timestamp')::timestamptz,
            COALESCE(NULLIF(region.timezone, ''), election.timezone)
        ) AS hour,
        line.tx_id,
        jsonb_build_object(
            'tx_id', line.tx_id,
            'counts', line.stored,
            'counts_from', jsonb_build_object(
                'file', first_batch.name, 'sha256', encode(first_batch.sha256, 'hex')
            ),
            'other', line.incoming,
            'other_from', jsonb_build_object(
                'file', batch.name,
                'sha256', encode(batch.sha256, 'hex'),
                'line', line.line
            )
        ) AS described
    FROM elections_constituency AS constituency
    JOIN elections_election AS election ON election.id = constituency.election_id
    LEFT JOIN elections_region AS region ON region.id = constituency.region_id
    JOIN transactions_conflictingrow AS line ON line.constituency_id = constituency.id
    JOIN transactions_importbatch AS batch ON batch.id = line.batch_id
    LEFT JOIN transactions_importbatch AS first_batch
        ON first_batch.id = line.stored_batch_id
    WHERE constituency.election_id = %(election_id)s
        AND line.kind = 'content'
        AND (
            batch."interval" = first_batch."interval"
            AND batch.constituency_id = first_batch.constituency_id
            AND batch.sha256 <> first_batch.sha256
        ) IS NOT TRUE
    ORDER BY line.constituency_id, line.tx_id, line.id
)
SELECT
    constituency_id,
    hour,
    count(*),
    to_jsonb((array_agg(described ORDER BY tx_id))[1:%(shown)s])
FROM conflict
GROUP BY 1, 2
ORDER BY 1, 2
