"""Starknet's own JSON-RPC, version 0.10.2: what any client of Starknet asks and sends."""
