-- Write the number of anomalies of each hour of some constituencies.
-- Parameters: their ids; arrays of the hours with anomalies: constituency, hour, number;
-- whether rules failed, so that no number falls.
-- Returns: nothing. The caller holds the locks of the constituencies.
WITH wanted AS (
    -- By the hour of UTC: those of zones with half hours begin within it.
    SELECT constituency_id, date_trunc('hour', hour, 'UTC') AS utc_hour,
        sum(anomaly_count)::int AS anomaly_count
    FROM unnest(
        %(constituencies)s::bigint[], %(hours)s::timestamptz[], %(counts)s::int[]
    ) AS told (constituency_id, hour, anomaly_count)
    GROUP BY 1, 2
)
UPDATE metrics_hourlystats AS stats
SET anomaly_count = changed.anomaly_count, version = stats.version + 1
FROM (
    SELECT stored.id, COALESCE(wanted.anomaly_count, 0) AS anomaly_count
    FROM metrics_hourlystats AS stored
    LEFT JOIN wanted ON wanted.constituency_id = stored.constituency_id
        AND wanted.utc_hour = date_trunc('hour', stored.hour, 'UTC')
    WHERE stored.constituency_id = ANY(%(ids)s::bigint[])
) AS changed
WHERE stats.id = changed.id
    AND stats.anomaly_count <> changed.anomaly_count
    AND (NOT %(is_partial)s OR stats.anomaly_count < changed.anomaly_count)
