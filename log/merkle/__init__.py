"""The Merkle tree of RFC 6962 §2.1, pure: hashes in, hashes out; who reads and stores them is not known here.

    hashing     leaf and node hashes
    proof       which perfect subtrees a proof is made of, the proof from their hashes, and its verification
    frontier    a tree's root from its leaves one by one, in 32·log₂ n bytes of state
    tiles       tlog-tiles: how the hashes lie in files of 256, and the right edge a log grows by

`frontier` and `tiles.Edge` arrive at the same root on two paths that share only the two hash functions.
"""
