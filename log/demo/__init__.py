"""The demonstration: a synthetic hierarchy of CAs (`ca`), and two nodes and a monitor that run on it (`run`).

Keys are made anew each time and every name ends in `(synthetic)`: nothing here can be taken for real.
"""
