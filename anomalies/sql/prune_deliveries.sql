-- Delete some of the deliveries that were sent or given up, the oldest first.
-- Parameters: the first moment to keep; how many to delete at most.
-- The moment is that of the last attempt, to the hour: sending again starts it anew.
-- The newest one of an alert that is open stays: it tells that its webhook follows the alert.
-- Rows that staff have in hand are left for the next time.
DELETE FROM anomalies_webhookdelivery
WHERE id = ANY(ARRAY(
    SELECT id
    FROM anomalies_webhookdelivery AS old
    WHERE status IN ('sent', 'dead')
        AND available_at < %(before)s
        AND (
            NOT EXISTS (
                SELECT FROM anomalies_alert AS alert
                WHERE alert.id = old.alert_id
                    AND alert.status IN ('active', 'investigating')
            )
            OR EXISTS (
                SELECT FROM anomalies_webhookdelivery AS newer
                WHERE newer.webhook_id = old.webhook_id
                    AND newer.alert_id = old.alert_id
                    AND newer.version > old.version
            )
        )
    ORDER BY id
    LIMIT %(limit)s
    FOR UPDATE OF old SKIP LOCKED
))
