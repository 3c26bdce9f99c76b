"""The reader's end of a log: proofs out of tiles, audits, and HTTP with a stranger at the other end."""
