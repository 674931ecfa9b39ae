"""What runs of the campaigns came to, and what they add up to."""
