"""Keys of tokens: read from files, and from whoever publishes them."""
