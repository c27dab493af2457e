-- Add increments to the totals of constituencies, one element of a JSON array per
-- constituency-hour. Parameters: the array. Returns: nothing.
-- A change of the register rewrites the rates of all hours, by a trigger.
UPDATE elections_constituency AS constituency
SET bulletins_issued = constituency.bulletins_issued + delta.bulletins_issued,
    votes_cast = constituency.votes_cast + delta.votes_cast,
    revotes = constituency.revotes + delta.revotes,
    transaction_count = constituency.transaction_count + delta.transaction_count,
    failed_count = constituency.failed_count + delta.failed_count,
    ledger_registered_voters =
        constituency.ledger_registered_voters + delta.registered_voters,
    voters_list_count = constituency.voters_list_count + delta.voters_lists,
    last_transaction_at =
        GREATEST(constituency.last_transaction_at, delta.last_transaction_at),
    version = constituency.version + 1
FROM (
    SELECT
        constituency_id,
        sum(bulletins_issued)::bigint AS bulletins_issued,
        sum(votes_cast)::bigint AS votes_cast,
        sum(revotes)::bigint AS revotes,
        sum(transaction_count)::bigint AS transaction_count,
        sum(failed_count)::bigint AS failed_count,
        sum(registered_voters)::bigint AS registered_voters,
        sum(voters_lists)::bigint AS voters_lists,
        max(last_transaction_at) AS last_transaction_at
    FROM json_to_recordset(%(deltas)s::json) AS hour_delta (
        constituency_id bigint,
        bulletins_issued bigint,
        votes_cast bigint,
        revotes bigint,
        transaction_count bigint,
        failed_count bigint,
        registered_voters bigint,
        voters_lists bigint,
        last_transaction_at timestamptz
    )
    GROUP BY constituency_id
) AS delta
WHERE constituency.id = delta.constituency_id
