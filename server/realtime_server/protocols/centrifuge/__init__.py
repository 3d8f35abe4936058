"""The Centrifugo client protocol."""
