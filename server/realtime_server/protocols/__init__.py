"""Translate bytes to and from the types of core: codecs never await; bad input has one documented answer."""
