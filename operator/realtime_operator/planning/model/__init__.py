"""What decisions take and give: the observed world, what servers have counted, the plan, the reasons."""
