"""When a rollout may begin: maintenance windows, and slots for the clusters of one operator."""
