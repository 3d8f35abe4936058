"""The API of the resource: pydantic models from which the CRD is generated."""
