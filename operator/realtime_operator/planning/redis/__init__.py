"""The backplane: its state, and changes of the managed Redis."""
