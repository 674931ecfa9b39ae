"""FOLLOW: a plugin beside any Starknet node, told over its RPC."""
