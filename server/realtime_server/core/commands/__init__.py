"""The commands of Centrifugo's client protocol."""
