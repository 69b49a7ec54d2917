            ORDER BY projects_v.is_default DESC, projects_v.name, lines.project_id, prices_v.service, prices_v.item, lines.region,
                lines.charge_resource_id, lines.units, lines.price_id, lines.kind DESC
