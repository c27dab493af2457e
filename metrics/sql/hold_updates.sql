-- Lock updates that a worker has in hand, until it is done with them.
-- Parameters: ids; their lease tokens. Returns: the ids of those that it still has.
SELECT held.id
FROM metrics_metricsupdate AS held
JOIN unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) AS claimed (id, lease_token)
    ON claimed.id = held.id AND claimed.lease_token = held.lease_token
WHERE held.status = 'processing'
ORDER BY held.id
FOR NO KEY UPDATE OF held
