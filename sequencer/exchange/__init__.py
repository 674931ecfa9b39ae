"""The rules of the exchange: matching, margin, prices, funding, liquidation, modes, laws."""
