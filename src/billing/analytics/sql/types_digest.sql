            -- of the types that the resources of a month (`versions`) are shown with: a type may change without a new version
            SELECT coalesce(bit_xor(hashtextextended(resources_v.resource_id || ' ' || resources_v.type, 0)), 0)
            FROM resources_v
            WHERE resources_v.account_id = versions.account_id
                AND resources_v.created_at < (versions.period + interval '1 month') AT TIME ZONE 'UTC'
