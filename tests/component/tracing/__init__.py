"""Spans of real server processes, and a collector that receives them."""
