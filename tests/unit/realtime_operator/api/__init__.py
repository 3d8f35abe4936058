"""Tests of the models and of the files generated from them."""
