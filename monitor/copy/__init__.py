"""The verified copy: what rebuilds a log whose node is lost, and what is judged without asking the node again.

    mirror   one log's rows, hash tiles and issuers, in step with the verified head
    reader   that as a `LogReader`, up to the verified size
    folder   the copies of all logs, each in a LevelDB of its own below one folder

Rows are as the log served them, tiles are computed here from the rows, issuers are held by their SHA-256. Signed heads
are in the state (`monitor.store`). The order of writes: first the copy, then the verified head.
"""
