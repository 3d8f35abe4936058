"""Ports of core. One test suite, tests/contract, runs against all drivers of the backplane's ports."""
