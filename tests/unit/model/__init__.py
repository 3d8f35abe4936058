"""What the model in `model/` and the code have in common."""
