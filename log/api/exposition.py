"""Every metric that a node shows at /metrics; `log.serving.sheet` says how they are named and written.

The number of series is bounded by the node's own configuration.
"""

from log.serving.sheet import counter, gauge, histogram
from log.serving.vitals import PROCESS

METRICS = {
    "twinlog_http_requests_total": counter("Requests answered.", "method", "route", "status"),
    "twinlog_http_request_seconds": histogram("Time from the head of a request to its answer.", "method", "route"),
    "twinlog_http_sent_bytes_total": counter("Bytes of bodies answered.", "method", "route"),
    "twinlog_http_held_bytes": gauge("Bytes of request bodies in memory now."),
    "twinlog_http_busy_total": gauge("Requests in progress now, by lane.", "lane"),
    "twinlog_http_places_total": gauge("Requests that may be in progress, by lane.", "lane"),
    "twinlog_http_lane_refused_total": counter("Requests refused because their lane was full.", "lane"),
    "twinlog_log_entries_total": counter("Entries under the newest head.", "log"),
    "twinlog_log_head_age_seconds": gauge("Age of the newest head.", "log"),
    "twinlog_log_witnessed_entries_total": counter("Entries under the witnessed head.", "log"),
    "twinlog_log_witnessed_age_seconds": gauge("Age of the witnessed head; absent before the first.", "log"),
    "twinlog_log_cosignatures_total": counter("Cosignatures taken, by witness of the policy.", "log", "witness"),
    "twinlog_log_cosigned_age_seconds": gauge(
        "Age of the newest cosignature of a witness; absent before the first.", "log", "witness"
    ),
    "twinlog_log_guarded_total": gauge("1 once a guard has spoken, or none is configured; else 0.", "log"),
    "twinlog_log_halted_total": gauge("1 while signing waits for an operator to clear a halt, else 0.", "log"),
    "twinlog_log_stopped_total": gauge("1 while heads are not signed, for whatever reason, else 0.", "log"),
    "twinlog_log_heartbeats_total": counter("Unchanged heads signed anew.", "log"),
    "twinlog_log_heartbeat_failures_total": counter("Heads that were due and not signed.", "log"),
    "twinlog_log_submissions_total": counter(
        "Submissions accepted, known before (duplicate), refused and for what reason.", "log", "outcome", "reason"
    ),
    "twinlog_log_dedup_hits_total": counter("Submissions known before, by where they were found.", "log", "where"),
    "twinlog_log_scts_signed_total": counter("SCTs signed, repeated ones and those in proofs too.", "log"),
    "twinlog_log_waiting_total": gauge("Submissions that wait for the next commit.", "log"),
    "twinlog_log_waiting_limit_total": gauge("Submissions that may wait.", "log"),
    "twinlog_log_waiting_bytes": gauge("Bytes of the submissions that wait.", "log"),
    "twinlog_log_commit_seconds": histogram("Time of a commit, from its batch to its answers.", "log"),
    "twinlog_log_commit_bytes": histogram("Bytes of a commit's submissions.", "log"),
    "twinlog_log_commit_entries_total": counter("Entries of all commits.", "log"),
    "twinlog_log_commit_phase_seconds_total": counter("Time spent in each phase of all commits.", "log", "phase"),
    "twinlog_log_batch_total": gauge("Entries of the newest commit.", "log"),
    "twinlog_log_index_lag_total": gauge("Published entries that the index does not know yet.", "log"),
    "twinlog_log_index_unsynced_total": gauge("Entries that a start after a crash would index again.", "log"),
    "twinlog_log_store_bytes": gauge("Bytes of a store's files.", "log", "store"),
    "twinlog_log_cache_bytes": gauge("Bytes kept by a cache of reads.", "log", "cache"),
    "twinlog_log_cache_hits_total": counter("Reads that a cache answered.", "log", "cache"),
    "twinlog_log_cache_misses_total": counter("Reads that a cache took in.", "log", "cache"),
    "twinlog_log_window_end_seconds": gauge("POSIX time at which the notAfter window ends; absent without one.", "log"),
    "twinlog_guard_heard_seconds": gauge("Time since a guard was heard; absent before the first time.", "guard"),
    "twinlog_guard_clock_error_seconds": gauge("How far our clock is from the guard that agrees best."),
    "twinlog_guard_partings_total": counter("How often wall and monotonic clock parted."),
    "twinlog_witness_answers_total": counter("Answers to heads brought for cosigning.", "origin", "status"),
    "twinlog_witness_cosigned_age_seconds": gauge("Age of our newest cosignature; absent before one.", "origin"),
    "twinlog_witness_guarded_total": gauge("1 once a guard has spoken for what we cosigned, else 0.", "origin"),
    "twinlog_witness_halted_total": gauge("1 while cosigning waits for an operator, else 0.", "origin"),
    "twinlog_witness_forked_total": gauge("1 once two heads of one size are kept as evidence, else 0.", "origin"),
    "twinlog_intake_held_total": gauge("Submissions of issuers that are held back while others submit too."),
    "twinlog_checking_waiting_total": gauge("Chains that wait for their check, those being checked too."),
    "twinlog_checking_limit_total": gauge("Chains that may wait for their check."),
    "twinlog_checking_processes_total": gauge("Checking processes that run."),
    "twinlog_checking_busy_total": gauge("Checking processes that have a chain."),
    "twinlog_checking_restarts_total": counter("Checking processes that ended and were replaced."),
    "twinlog_checking_check_seconds": histogram("Time from handing a chain over to the answer of its check."),
    "twinlog_disk_free_bytes": gauge("Free bytes under the data folder."),
    "twinlog_disk_watermark_bytes": gauge("Free bytes below which the node is read-only."),
    "twinlog_heads_store_bytes": gauge("Bytes of the head store's files."),
    "twinlog_node_failed_total": gauge("1 after a store failed: the process is about to end; else 0."),
    "twinlog_node_build_total": gauge("1, with what runs here as labels.", "version", "python"),
    **PROCESS,
}
