"""What a log has signed, held against what else it has signed: evidence that anyone checks offline.

heads    a signed head, and how two of them contradict each other by their signatures alone
prefix   proof that a larger tree has another prefix
objects  contradictions as objects
"""
