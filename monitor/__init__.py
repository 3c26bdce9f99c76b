"""The monitor: a process of its own that sees every node only from outside, over HTTP.

In reading order:

    alert        PURE: what somebody is told, and how sure it is
    outcome      what a look came to, and the exit codes
    limits       every bound, with its unit
    clock        what time it is, and whether that may be believed
    freshness    PURE: how old heads and cosignatures are
    judge        PURE: where a head stands against the one verified last (contradictions: `log.evidence`)
    rebuild      PURE: a tree grown from its entries
    logs         what is known of nodes, logs, witnesses, keys
    rules        PURE: what certificates should not be, and who watches for which
    store        what is remembered; one SQLite database
    peer         bounded requests to others
    copy         all that was verified of each log, kept to rebuild it
    observation  PURE: what a monitor has seen, as a chain
    sources      several who may have a log's data
    charges      evidence about a leaf, a witness, or what was served
    belated      heads that come when our tree has passed them
    ledger       taking in a signed head: keep it, compare it, reconcile it
    vouched      witnesses' lines on heads: verified, kept
    fetching     entries of a log, up to a signed head
    owed         such as others have given, and not the log itself
    patience     a log that gives no answer of use, or is busy
    halfway      the way to a head that is longer than one look
    follower     one log: fetch, verify, rebuild, record
    tree_tiles   which of the hash tiles that are served are a tree's
    hash_tiles   what a log serves of its tree, held against ours
    branches     the other branch of a fork: certificates that stand there alone
    own_witness  what we cosign, and never anything smaller
    feeder       heads to other witnesses, cosignatures back
    guard        telling a node what it has signed
    coda         a closed log, asked whether it signs on
    survey       what the log, and whoever has our own line, knows of what was cosigned
    ages         how old a head is, and since when a witness is silent
    missed       what a witness missed, audited again
    watch        one log: surveyed, looked at, fed
    governed     governance actions that count, and what holds by them
    egress       the same logs seen another way
    promises     SCTs that were handed to us, and what became of them
    pollination  heads that relying parties bring
    gossip       what is exchanged with one other monitor
    carrier      those actions, from and to one governance log
    checked      entries read again and verified against a root
    judging      verified entries judged, from a position of its own
    roster       PURE: whom to follow, by settings and governance
    loops        work that goes on until it is no longer wanted
    timekeeper   our clock, watched
    desk         findings come in, and become alerts
    channels     ways to tell people, one file a kind
    outbox       every alert to every channel that takes it
    errands      what goes on, by name
    crew         whom there is to follow now, and everyone who sees to that
    rounds       all of it once, in phases
    standing     and for ever, in loops
    board        what the page says, as plain values
    health       whether this monitor does what it is there for
    status       the state in plain sentences
    export       evidence as a file to hand on
    tables       the tables of the TOML file
    settings     the whole of it
    pinned       what it pins, read into values
    journal      log lines
    keyring      the keys of a monitor
    hand         certificates at hand, judged
    connections  out to peers, and the server
    workshop     the parts of a monitor, made
    main         where all objects are put together, and nothing else puts any
    process      a monitor as a process: once, or until a signal
    cli          `twinlog-monitor`
"""
