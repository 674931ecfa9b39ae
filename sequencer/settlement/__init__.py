"""What speaks to the settlement chain."""
