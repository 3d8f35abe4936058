"""The customer's backend over HTTP: requests that decide about clients, and delivery of events."""
