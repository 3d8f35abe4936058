"""Values that core exchanges with clients, backplane and backends."""
