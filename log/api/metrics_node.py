"""From what a node and its logs say of themselves to their metrics: one line a metric."""

import platform

from log.api.served import LogStatus
from log.node.reading import NodeReading
from log.service.reading import LogReading
from log.serving.sheet import Sheet


def put_log(sheet: Sheet, status: LogStatus, log: LogReading, node: NodeReading) -> None:
    """Write the metrics of one log."""
    name, counts = status.name, log.counts
    sheet.put("twinlog_log_entries_total", status.size, name)
    sheet.put("twinlog_log_head_age_seconds", status.head_age_ms / 1000, name)
    sheet.put("twinlog_log_witnessed_entries_total", status.witnessed_size or 0, name)
    sheet.put("twinlog_log_witnessed_age_seconds", _seconds(status.witnessed_age_ms), name)
    for witness, taken in log.cosignatures.items():
        sheet.put("twinlog_log_cosignatures_total", taken, name, witness)
        sheet.put("twinlog_log_cosigned_age_seconds", _seconds(log.cosigned_age_ms.get(witness)), name, witness)
    sheet.put("twinlog_log_guarded_total", status.guarded, name)
    sheet.put("twinlog_log_halted_total", status.origin in node.halted, name)
    sheet.put("twinlog_log_stopped_total", bool(status.last_error) or not status.guarded, name)
    sheet.put("twinlog_log_heartbeats_total", counts.beats, name)
    sheet.put("twinlog_log_heartbeat_failures_total", counts.missed_beats, name)
    sheet.put("twinlog_log_submissions_total", counts.entries, name, "accepted", "")
    sheet.put("twinlog_log_submissions_total", sum(counts.repeats.values()), name, "duplicate", "")
    for where, hits in counts.repeats.items():
        sheet.put("twinlog_log_dedup_hits_total", hits, name, where)
    sheet.put("twinlog_log_scts_signed_total", node.scts.get(name), name)
    sheet.put("twinlog_log_waiting_total", status.pool, name)
    sheet.put("twinlog_log_waiting_limit_total", log.waiting_limit, name)
    sheet.put("twinlog_log_waiting_bytes", log.waiting_bytes, name)
    sheet.spread("twinlog_log_commit_seconds", counts.commit_seconds, name)
    sheet.spread("twinlog_log_commit_bytes", counts.commit_bytes, name)
    sheet.put("twinlog_log_commit_entries_total", counts.entries, name)
    for phase, seconds in log.phase_seconds.items():
        sheet.put("twinlog_log_commit_phase_seconds_total", seconds, name, phase)
    sheet.put("twinlog_log_batch_total", counts.batch, name)
    sheet.put("twinlog_log_index_lag_total", log.unindexed, name)
    sheet.put("twinlog_log_index_unsynced_total", log.unsynced, name)
    for cache, reading in log.caches.items():
        sheet.put("twinlog_log_cache_bytes", reading.bytes, name, cache)
        sheet.put("twinlog_log_cache_hits_total", reading.hits, name, cache)
        sheet.put("twinlog_log_cache_misses_total", reading.misses, name, cache)
    sheet.put("twinlog_log_window_end_seconds", _seconds(node.window_ends_ms.get(name)), name)


def put_node(sheet: Sheet, node: NodeReading) -> None:
    """Write the metrics of the node as a whole: guards, witness, checking, disk, build."""
    for guard, heard_s in node.guard.heard_s.items():
        sheet.put("twinlog_guard_heard_seconds", heard_s, guard)
    sheet.put("twinlog_guard_clock_error_seconds", node.guard.clock_error_s)
    sheet.put("twinlog_guard_partings_total", node.guard.partings)
    for (origin, status), count in node.witness.answers.items():
        sheet.put("twinlog_witness_answers_total", count, origin, str(status))
    for origin, guarded in node.witness.guarded.items():
        sheet.put("twinlog_witness_cosigned_age_seconds", _seconds(node.witness.cosigned_age_ms.get(origin)), origin)
        sheet.put("twinlog_witness_guarded_total", guarded, origin)
        sheet.put("twinlog_witness_halted_total", origin in node.halted, origin)
    for origin, forked in node.witness.forked.items():
        sheet.put("twinlog_witness_forked_total", forked, origin)
    sheet.put("twinlog_intake_held_total", node.held)
    sheet.put("twinlog_checking_waiting_total", node.checks.waiting)
    sheet.put("twinlog_checking_limit_total", node.checks.limit)
    sheet.put("twinlog_checking_processes_total", node.checks.processes)
    sheet.put("twinlog_checking_busy_total", node.checks.busy)
    sheet.put("twinlog_checking_restarts_total", node.checks.restarts)
    sheet.spread("twinlog_checking_check_seconds", node.checks.seconds)
    sheet.put("twinlog_disk_free_bytes", node.disk_free_bytes)
    sheet.put("twinlog_disk_watermark_bytes", node.disk_watermark_bytes)
    for (log, store), used in node.store_bytes.items():
        if log:
            sheet.put("twinlog_log_store_bytes", used, log, store)
        else:
            sheet.put("twinlog_heads_store_bytes", used)
    sheet.put("twinlog_node_failed_total", node.failed)
    sheet.put("twinlog_node_build_total", 1, node.version, platform.python_version())


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
