"""Programs for users and for those who work on the chain."""
