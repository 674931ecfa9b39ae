"""perpchain: a Starknet appchain for perpetual futures that can be rolled back."""
