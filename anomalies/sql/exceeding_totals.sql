-- Find the constituencies of an election whose totals have ever exceeded what they are
-- part of: votes the bulletins issued, or either of them the register.
-- Parameters: election. Returns: constituency; its hours, and bulletins issued and votes
-- cast in each, as arrays in the order of time.
WITH so_far AS (
    SELECT
        constituency_id,
        -- The count of an hour fits, and sums of bigint are numeric: slow.
        sum(bulletins_issued::int) OVER until_hour AS issued,
        sum(votes_cast::int) OVER until_hour AS "cast"
    FROM metrics_hourlystats
    WHERE election_id = %(election_id)s
    WINDOW until_hour AS (PARTITION BY constituency_id ORDER BY hour)
), suspect AS (
    SELECT so_far.constituency_id
    FROM so_far
    JOIN elections_constituency AS constituency
        ON constituency.id = so_far.constituency_id
    GROUP BY so_far.constituency_id
    HAVING bool_or("cast" > issued)
        OR bool_or(GREATEST(issued, "cast") > constituency.registered_voters)
)
SELECT
    constituency_id,
    array_agg(hour ORDER BY hour),
    array_agg(bulletins_issued ORDER BY hour),
    array_agg(votes_cast ORDER BY hour)
FROM metrics_hourlystats
JOIN suspect USING (constituency_id)
GROUP BY constituency_id
ORDER BY constituency_id
