"""Every bound and interval of the monitor, each with its unit. Set in the `[limits]` table of the settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit two nodes in one region; see monitoring.md §5.6 for where they come from."""

    request_s: float = 5.0  # whole time one request may take, from dialling to the last byte
    max_answer_bytes: int = 1 << 20  # body of a note, a cosignature answer, a guard answer
    connections: int = 64  # open at once, all peers together
    chunk_entries: int = 4_096  # entries asked for, hashed and dropped at a time while a root is rebuilt
    ahead_bytes: int = 16 << 20  # a chunk of more bytes is hashed before the next one is asked for
    copy_chunks: int = 16  # chunks of `chunk_entries` that one look reads again for a copy that is behind
    free_bytes: int = 1 << 30  # left free on the disk of the copies: with less, copies take nothing more till there is
    refresh_s: float = 4.0  # a head that does not change is fed again after this time
    look_entries: int = 262_144  # entries of one log taken in in one look; the next one goes on from there
    round_looks: int = 64  # looks at a log that is further than that, in one round of `run --once`
    look_s: float = 300.0  # when no look at a log has ended or gone on for so long, we are not well (`/healthz`)
    survey_s: float = 30.0  # how often every witness of a log is asked what it cosigned last
    hash_tiles: int = 64  # full hash tiles of a log held against our tree in one check, besides the incomplete ones
    open_heads: int = 16  # unreconciled heads looked at again in one round, per log
    late_heads: int = 256  # heads of trees that we have passed, settled by our copy and held against leaves in one look
    late_entries: int = 4_096  # entries read from our copy to know the latest leaf below one; sizes between are kept
    evidence_per_log: int = 1_000  # evidence objects kept per log; the notes themselves are always kept
    unproven_per_log: int = 100  # objects of kind E8 kept per log: whoever spoils answers on the way makes them
    rivals: int = 4  # earlier heads that one new head is shown to contradict
    chain_rows: int = 10_000  # newest observations whose hash chain is checked at start
    actions_per_round: int = 64  # governance actions fetched from one log in one round, and as many brought there
    action_bytes: int = 262_144  # body of one governance action under its proof
    actions_held: int = 100_000  # governance actions that we hold: only such as count are kept
    fold_writes: int = 256  # writes to our state, each of a few pages of 4 KiB, before its log is folded back
    backoff_s: float = 300.0  # longest pause before a witness that failed is tried again, unless it is heard before
    retry_after_s: float = 300.0  # longest pause that a busy witness may ask for (Retry-After)
    feed_tries: int = 3  # requests for one head to a witness that names another size each time
    in_a_row: int = 3  # times in a row that something operational, or a head that does not verify, is no alert yet
    stale_s: float = 60.0  # an older head served, or one that no data settle, is an alert after this time
    head_warn_s: float = 60.0  # age of a served head from which on it is slow
    head_alarm_s: float = 120.0  # and from which on it is old
    future_s: float = 60.0  # a head signed further ahead of us is suspected, and not fresh
    lag_s: float = 120.0  # a witness whose last cosignature is older lags
    degraded_s: float = 600.0  # and after this time a log is not cross-witnessed
    clock_jump_s: float = 2.0  # parting of wall and monotonic clock that is a jump
    clock_offset_s: float = 5.0  # offset from most others' clocks from which on ours is not trusted
    clock_settle_s: float = 60.0  # after a jump nothing rests on our clock for this time
    channel_s: float = 10.0  # one attempt to tell one alert to one channel
    deliver_tries: int = 300  # attempts to tell an alert to a channel before it is given up
    deliver_pause_s: float = 300.0  # longest pause between two of them
    recompared: int = 1_000  # newest heads of a log that are compared again at start, should a crash have come between
    gossip_s: float = 60.0  # how often another monitor is asked what it has seen
    gossip_pages: int = 16  # pages of observations read from one monitor at a time
    gossip_rows: int = 256  # observations on a page that we serve
    gossip_bytes: int = 524_288  # bytes of raw notes on such a page
    gossip_evidence: int = 64  # evidence objects given to, and taken from, one monitor at a time
    evidence_bytes: int = 1 << 20  # body of an evidence object that is brought to us
    clients: int = 256  # requests without a body that we answer at a time
    bodies: int = 64  # and requests that bring one
    address_bodies: int = 16  # and those of one address (of IPv6 a /64)
    handshakes: int = 512  # of TLS with those who come, at once; the oldest gives way
    client_connections: int = 1_024  # connections to us open at once; when there are more, one that owes us gives way
    address_connections: int = 64  # and of one address (of IPv6 a /64)
    head_s: float = 5.0  # the head of a request to us, or the beginning of a first one, may take so long
    idle_s: float = 15.0  # a connection to us without a further request is closed after this time
    take_s: float = 30.0  # an answer of ours that nobody takes is given up after this time
    unsent_bytes: int = 64 << 20  # answers that wait for their clients, all together
    egress_s: float = 10.0  # how often each log is asked for its head through each egress, a fifth more or less
    branch_s: float = 10.0  # how often the branches of a fork that we do not follow are asked for
    branch_heads: int = 4  # heads of other branches of one log looked for in one look
    branch_entries: int = 4_096  # entries of one of them read in one look, and of one log marked
    branch_marks: int = 100_000  # certificates marked on other branches, of all logs; then no more is read
    promises: int = 256  # SCTs of one log looked at again at a time
    promises_s: float = 10.0  # how often they are
    feedback_bytes: int = 524_288  # body of SCT feedback
    pollination_bytes: int = 131_072  # body of pollination
    pollination_kept: int = 100_000  # heads of one log that relying parties bring and that are kept, a day (UTC)
    pollination_heads: int = 64  # heads that it is answered with
    sender_rate: int = 5  # requests a second with feedback or pollination, of one address
    senders: int = 10_000  # addresses whose rate is remembered
    judge_s: float = 1.0  # how often we look whether there are entries to judge
    judge_entries: int = 1_024  # entries judged in one batch: one transaction, which a crash may repeat
    judge_batch_bytes: int = 16 << 20  # issuer certificates of one batch: one that has more ends earlier
    judge_issuers: int = 4_096  # issuer certificates remembered while judging
    judge_issuer_bytes: int = 16 << 20  # and bytes of all of these together
    use_grace_s: float = 60.0  # a certificate used and not logged for so long is a finding (S11)
    page_rows: int = 100  # findings and alerts on one page
    page_bytes: int = 4 << 20  # body of a page of observations that we read: two notes of max_answer_bytes, in base64
