-- Lock updates that a worker has in hand, until it is done with them.
-- What somebody else has locked (a deletion, the rest of a lost session) is passed by: it
-- comes again after its lease, and holds up no other.
-- Parameters: ids; their lease tokens. Returns: the ids of those that it still has.
SELECT held.id
FROM metrics_metricsupdate AS held
JOIN unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) AS claimed (id, lease_token)
    ON claimed.id = held.id AND claimed.lease_token = held.lease_token
WHERE held.status = 'processing'
ORDER BY held.id
FOR NO KEY UPDATE OF held SKIP LOCKED
