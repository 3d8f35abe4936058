"""The only importers of kopf: short functions that say which cluster is dirty."""
