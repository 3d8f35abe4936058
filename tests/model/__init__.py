"""Searches of the model in `model/`, by Spin."""
