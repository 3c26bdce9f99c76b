"""A log that lies: the fault catalogue of monitoring.md §6, one script a row, and one harness for all (`harness`).

A script makes its fault and goes on for as many rounds as it yields; when it ends, the fault is over.

    heads       1 to 6, 10, 16 to 21, 42   what a log signs
    tiles       12 to 15, 20, 27           what it serves of its tree
    transport   22 to 26                   how it answers
    witnesses   7 to 9, 30 to 32, 35, 43   what others are shown, and say
    keys        41                         what is signed after the end
    own         33, 34, 36 to 38, 40       what happens to the monitor itself
    people      11, 28, 29, 39, 44         what certificates say, and who is told

`python -m tests.catalogue certspotter` shows the four things that certspotter gets wrong (`demo`).
"""
