"""The contracts at the edges of core: one test suite, tests/contract, runs against all drivers of the backplane's."""
