"""PURE: who may say what, as signed history (design.md section 5). Read in this order:

    kinds     what an action of each type means, and whether it restricts or relaxes
    lists, parties, logs    the kinds, by what they are about
    chains    which actions count: signatures by the keys of their seq, hashes, and seqs signed twice
    ledger    all actions that somebody holds, and which ones are taken besides
    fold      what holds on a date: each chain folded alone, then put together, the stricter winning
    timeline  the same for any date, folded once between two changes

No action depends on when it came. Each chain is folded for itself, so no order between chains can matter.
"""
