"""Tools that know no domain: configuration, database, web, jobs."""
