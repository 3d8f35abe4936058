"""Commands of Centrifugo's client protocol."""
