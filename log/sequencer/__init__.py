"""From a pool of submissions to a signed, published tree: one log, one writer, one history.

Read in this order: `plan` (pure: a batch and a tree give writes and the next tree), `commit` (the numbered
order of writes, and recovery), `pool` (who waits for what), `loop` (the one task that sequences).
It takes and gives bytes: what a leaf means, and who may submit it, is decided above.
"""
