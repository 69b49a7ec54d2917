-- The parts of some charges by project and region, as the lines of a bill have them.
\ir asked_charges.sql
SELECT lines.kind, lines.price_id, lines.charge_resource_id AS resource_id, lines.units, lines.project_id,
    projects_v.name AS project_name, lines.region, lines.quantity, lines.amount_minor, lines.unrounded
FROM lines
JOIN asked ON asked.kind = lines.kind AND asked.price_id = lines.price_id AND asked.charge_resource_id = lines.charge_resource_id
    AND asked.units = lines.units
JOIN projects_v ON projects_v.account_id = lines.account_id AND projects_v.project_id = lines.project_id
ORDER BY lines.kind DESC, lines.price_id, lines.charge_resource_id, lines.units, lines.project_id, lines.region
