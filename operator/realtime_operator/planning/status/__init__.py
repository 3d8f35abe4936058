"""What is told of a cluster: findings, conditions, status and Events."""
