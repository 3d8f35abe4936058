"""Token keys from files and from the JWK Set of an identity provider."""
