"""The operator: turns one RealtimeCluster object into a running realtime service and keeps it running."""
