"""The ledger: what every call was held for and cost, in rows that survive."""
