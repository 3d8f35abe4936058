"""The values that core exchanges with clients, backplane and backends: immutable, without behaviour."""
