            -- of the types that the resources which lived in a month (`versions`) are shown with: a type may change without a new version
            SELECT coalesce(bit_xor(hashtextextended(resources.resource_id || ' ' || resources.type, 0)), 0)
            FROM resources_by_end_v AS resources
            WHERE resources.account_id = versions.account_id
                AND resources.ended_at > versions.period::timestamp AT TIME ZONE 'UTC'
                AND resources.created_at < (versions.period + interval '1 month') AT TIME ZONE 'UTC'
