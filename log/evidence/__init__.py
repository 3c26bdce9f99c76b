"""What a log, a witness or a side has signed, held against what else it signed: evidence that anyone checks offline.

heads     a signed head, and how two of them contradict each other by their signatures alone
prefix    proof that a larger tree has another prefix
objects   two heads as an object (E1, E2, E3, E3b), and what all kinds share
promises  what a log promised about one entry (E4, E5, E6)
cosigned  a witness that cosigned both (E7)
served    what was served and does not lead to the signed root (E8): suspected, no proof
actions   two actions at one seq (E9)
check     any of them, for somebody who has pinned whom it is about
"""
