"""The monitor: a process of its own that sees every node only from outside, over HTTP.

In reading order:

    alert        PURE: what somebody is told, and how sure it is
    outcome      what a look came to, and the exit codes
    limits       every bound, with its unit
    judge        PURE: where a head stands against the one verified last (contradictions: `log.evidence`)
    rebuild      PURE: a tree grown from its entries
    logs         what is known of nodes, logs, witnesses, keys
    rules        PURE: what certificates should not be, and who watches for which
    store        what is remembered; one SQLite database
    peer         bounded requests to others
    ledger       taking in a signed head: keep it, compare it, reconcile it
    follower     one log: fetch, verify, rebuild, record
    own_witness  what we cosign, and never anything smaller
    feeder       heads to other witnesses, cosignatures back
    guard        telling a node what it has signed
    watch        one log: surveyed, looked at, fed
    governed     governance actions that count, and what holds by them
    carrier      those actions, from and to one governance log
    judging      verified entries judged, from a position of its own
    roster       PURE: whom to follow, by settings and governance
    loops        work that goes on until it is no longer wanted
    rounds       who is looked at when
    status       the state in plain sentences
    export       evidence as a file to hand on
    settings     the TOML file
    pinned       what it pins, read into values
    main, cli
"""
