"""A real Prometheus that scrapes real servers and operators, faults for it to see, and recordings of what it saw."""
