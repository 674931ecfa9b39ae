"""A Starknet chain of our own for settlement: on machines without starknet-devnet, and for tests.

Laws
- Contracts are the Python twins of `contracts`: no Cairo is executed, and `devnet_getConfig` says
  `"embedded": true` to whoever asks.
"""
