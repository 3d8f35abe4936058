"""What only the local platform has: its process, its state folder, its file."""
