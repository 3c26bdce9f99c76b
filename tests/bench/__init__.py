"""Benchmarks: `python -m tests.bench [--json FILE] [--only ROW ...] [--seconds N]` (design.md section 7).

Every figure stands beside what this machine can do at all, measured in the same run, so that the ratio holds on
any machine. `rows` is the table; each row has a file, and what they share is in `ground`. Servers are real
processes on free ports of 127.0.0.1, ended by their process id. Nothing here is asserted: a goal that was missed
is printed, with what the machine was doing meanwhile.
"""
