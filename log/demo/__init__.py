"""The demonstration: a synthetic hierarchy of CAs (`ca`), two nodes and a monitor that run on it (`run`),
and documents that are signed and logged (`papers`).

Keys are made anew each time and every name ends in `(synthetic)`: nothing here can be taken for real.
"""
