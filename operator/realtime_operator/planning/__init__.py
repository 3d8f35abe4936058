"""Decides: what is (World) and what is wanted (the spec) in, what to do (Plan) out. Pure, no I/O, no clock."""
