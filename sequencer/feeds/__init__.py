"""Where prices and orders come from: recorded market data."""
