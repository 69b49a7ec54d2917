-- What a resource is over time: each point holds until the next, and nothing holds after the resource's end.
CREATE OR REPLACE VIEW resource_spans_v AS
SELECT account_id, resource_id, plan, units, status, effective_at AS start_at, end_at  -- null: still so
FROM state_points
WHERE status <> 'deleted' AND coalesce(end_at, 'infinity') > effective_at;

-- When a resource is known not to be: while it is being deleted, and from its end on. (Its time before its first state is not here:
-- a first state only ever moves back.) Usage of these times is not counted.
CREATE OR REPLACE VIEW resource_gaps_v AS
SELECT account_id, resource_id, start_at, coalesce(end_at, 'infinity') AS end_at FROM resource_spans_v WHERE status = 'deleting'
UNION ALL
SELECT account_id, resource_id, deleted_at, 'infinity' FROM resources WHERE deleted_at IS NOT NULL;

CREATE OR REPLACE VIEW resources_v AS
SELECT account_id, resource_id, project_id, type, service, name, region, created_at, deleted_at FROM resources;

CREATE OR REPLACE VIEW day_rows_v AS
SELECT account_id, day, resource_id, meter, total, highest, latest, latest_at, first_at, is_gauge, events FROM day_rows;

-- The same, and spans and gauges, for who asks by account and end (`ended_at`, 'infinity' where there is none yet): what ended before is
-- not read. Who looks up one resource takes the views above.
CREATE OR REPLACE VIEW resources_by_end_v AS
SELECT account_id, resource_id, project_id, type, service, name, region, created_at, deleted_at,
    coalesce(deleted_at, 'infinity') AS ended_at
FROM resources
WHERE coalesce(deleted_at, 'infinity') > '-infinity';

CREATE OR REPLACE VIEW spans_by_end_v AS
SELECT account_id, resource_id, plan, units, status, effective_at AS start_at, coalesce(end_at, 'infinity') AS ended_at
FROM state_points
WHERE status <> 'deleted' AND coalesce(end_at, 'infinity') > effective_at AND coalesce(end_at, 'infinity') > '-infinity';

CREATE OR REPLACE VIEW gauges_by_end_v AS
SELECT account_id, resource_id, meter, coalesce(ended_at, 'infinity') AS ended_at FROM gauges
WHERE coalesce(ended_at, 'infinity') > '-infinity';

CREATE OR REPLACE VIEW resource_moves_v AS
SELECT account_id, resource_id, recorded_at, project_id FROM resource_moves;

CREATE OR REPLACE VIEW gauges_v AS
SELECT account_id, resource_id, meter FROM gauges;

CREATE OR REPLACE VIEW period_versions_v AS
SELECT account_id, period, version, rated_version FROM period_versions;

GRANT SELECT ON resource_spans_v, resource_gaps_v, resources_v, resources_by_end_v, spans_by_end_v, gauges_by_end_v, resource_moves_v, day_rows_v,
    gauges_v, period_versions_v TO lineserve_app;

-- An account's resources with their state at an instant; a resource whose first state lies ahead shows that one.
CREATE OR REPLACE FUNCTION resource_states_v(p_account_id uuid, p_at timestamptz) RETURNS TABLE (
    account_id uuid, resource_id text, project_id uuid, type text, service text, name text, region text,
    created_at timestamptz, deleted_at timestamptz, status text, plan text, units numeric
)
LANGUAGE sql STABLE
AS $$
    SELECT resources.account_id, resources.resource_id, project_id, type, service, name, region, created_at, deleted_at,
        CASE WHEN resources.deleted_at <= p_at THEN 'deleted' ELSE (shown.point).status END, (shown.point).plan, (shown.point).units
    FROM resources
    CROSS JOIN LATERAL (
        SELECT coalesce(
            (SELECT points FROM state_points AS points
             WHERE points.account_id = resources.account_id AND points.resource_id = resources.resource_id AND effective_at <= p_at
             ORDER BY effective_at DESC LIMIT 1),
            (SELECT points FROM state_points AS points
             WHERE points.account_id = resources.account_id AND points.resource_id = resources.resource_id
             ORDER BY effective_at LIMIT 1)
        ) AS point
        OFFSET 0
    ) AS shown
    WHERE resources.account_id = p_account_id
$$;
