"""Twinlog's node, and the library on which everything that checks it is built. This file is the map.

In reading order, from the ground up; each layer uses only those before it (pyproject.toml, import contracts).

    errors       every error, drawn as a tree
    tally        PURE: counts and histograms in plain numbers
    folders      names of files that survive a power cut
    sockets      where a process listens, and whom that reaches
    serving      HTTP connections of those who ask, bounded: under a node's routes and a monitor's
    heap         how often Python looks for cycles of garbage
    merkle       PURE: hashes, proofs, tiles, the right edge                        start at merkle/proof.py
    formats      PURE: bytes and text, one file a format; `names` holds what signatures cover; `family`
    crypto       keys, signature lines, signed requests, SM2
    certs        X.509 by slicing; chains, precertificates, trust lists
    access       who may do what: one pure decision
    fair         PURE: rates, shares, turns: nobody's storm is everybody's
    governance   PURE: chains of signed actions, and what holds on a date            start at governance/chains.py
    evidence     PURE: what a log or a side signed that excludes what it signed before
    client       a log from outside: reader, prover, verifier, witness's decision, auditor, submitter
    storage      four stores told apart by trust; LevelDB, SQLite, memory
    checking     chains are checked in processes beside the node                    start at checking/pool.py
    authority    who is listed, who is a member and whose keys count, as of a date
    sequencer    from submissions to a signed, published tree                       start at sequencer/commit.py
    service      one log as method calls: reads, cosignatures, certificates and events in
    node         several logs, the witness, the guard, halts, governance
    api          HTTP: one table of hot routes, FastAPI for the rest
    tables       the tables of the TOML file
    settings     the whole of it
    journal      what a node says while it runs: JSON or text, bounded, without secrets
    keyring      a node's own keys, and what others pin of them
    pinned       whose keys the settings pin
    state        a node's stores: made once, opened again
    bounds       what the settings allow, as each layer has it
    files        what the settings name, read and verified: trust lists, genesis, policies
    admitting    by which rules each log of certificates admits
    workshop     the logs of a node, made one by one
    main         where all objects are put together, and nothing else puts any
    process      one node as a process: it listens, serves, and ends with an exit code
    demo         a synthetic CA tree; two nodes and a monitor on one machine
    cli          `twinlog`

README.md beside this file tells the architecture in prose, decisions.md what was decided instead of what.
"""
