"""The Starknet protocol as arithmetic: felts, hashes, tries, transactions, blocks, messages."""
