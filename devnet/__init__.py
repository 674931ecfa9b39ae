"""A whole market on one machine: recorded data, bots, and what plays them."""
