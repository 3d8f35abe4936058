"""Real controllers of Ingress and Gateway API, as processes in front of the servers' pods."""
