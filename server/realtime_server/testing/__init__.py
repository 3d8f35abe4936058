"""Public test kit: fake clock, recording transports, scripted clients."""
