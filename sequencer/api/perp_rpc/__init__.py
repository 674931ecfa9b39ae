"""The `perp_*` methods: trading, reading the exchange, and what rollbacks did to it."""
