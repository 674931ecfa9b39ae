"""A node in virtual time: who acts on it, what must be true afterwards, and how often it was so."""
