-- Write the number of anomalies of each hour of some constituencies.
-- Parameters: their ids; arrays of the hours with anomalies: constituency, hour, number.
-- Returns: nothing. The caller holds the locks of the constituencies.
UPDATE metrics_hourlystats AS stats
SET anomaly_count = changed.anomaly_count, version = stats.version + 1
FROM (
    SELECT stored.id, COALESCE(wanted.anomaly_count, 0) AS anomaly_count
    FROM metrics_hourlystats AS stored
    LEFT JOIN unnest(
        %(constituencies)s::bigint[], %(hours)s::timestamptz[], %(counts)s::int[]
    ) AS wanted (constituency_id, hour, anomaly_count) USING (constituency_id, hour)
    WHERE stored.constituency_id = ANY(%(ids)s::bigint[])
) AS changed
WHERE stats.id = changed.id AND stats.anomaly_count <> changed.anomaly_count
