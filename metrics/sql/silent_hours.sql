-- Choose the hours of which no constituency of an election has a file.
-- Parameters: the id of the election; starts of hours. Returns: the silent ones.
-- Files are labelled with the reading of a clock in the election's export zone.
SELECT asked.hour
FROM unnest(%(hours)s::timestamptz[]) AS asked (hour)
JOIN elections_election AS election ON election.id = %(election_id)s
WHERE NOT EXISTS (
    SELECT FROM elections_constituency AS constituency
    -- Once per constituency along the index until one is found, not the whole table.
    CROSS JOIN LATERAL (
        SELECT FROM transactions_feedhour AS file
        WHERE file.constituency_id = constituency.id
            AND file."interval" =
                (asked.hour AT TIME ZONE election.export_timezone) AT TIME ZONE 'UTC'
        LIMIT 1
    ) AS file
    WHERE constituency.election_id = election.id
)
ORDER BY asked.hour
