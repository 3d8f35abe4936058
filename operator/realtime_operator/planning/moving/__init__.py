"""Number and replacement of servers: how many, which one leaves, at which rate its connections move."""
