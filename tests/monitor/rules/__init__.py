"""The rules of first judgement: tables of cases, real files, the index, the watchlist."""
