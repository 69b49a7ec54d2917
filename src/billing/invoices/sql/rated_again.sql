-- After the rating statement with pinned_by_lines.sql: in how many places the lines of the month from $2 are not what it costs the
-- accounts $1, at the prices that they name.
,
\ir differences.sql
SELECT count(*) FROM differences WHERE amount_minor <> 0
