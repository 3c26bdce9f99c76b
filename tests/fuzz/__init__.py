"""Every parser against bytes that mean harm: one table, a corpus for each, properties in the suite, atheris by hand.

`python -m tests.fuzz [--seconds N] [parser …]` fuzzes by coverage, and puts what it found beside the corpus.
"""
