"""Blocks: execute transactions over native contracts, project rows to slots, seal, verify."""
