"""Builds manifests: one file per Kubernetes object, pure; None means that the object is not wanted."""
