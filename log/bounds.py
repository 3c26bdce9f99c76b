"""What a node's settings allow, as the values that each layer declares for itself: limits, TLS, credentials."""

from log.api.auth import Credentials, Token
from log.api.limits import HttpLimits
from log.authority import Members
from log.errors import SettingsError
from log.service.admission import AdmissionLimits
from log.serving.connections import ConnectionLimits
from log.settings import NodeSettings, authority_of
from log.sockets import Tls


def admission_limits(settings: NodeSettings) -> AdmissionLimits:
    """Return the bounds of what is submitted at once: no more than any of the queues behind can hold."""
    limits = settings.limits
    return AdmissionLimits(
        max_client_rate_per_s=limits.max_client_rate_per_s,
        max_issuer_rate_per_s=limits.max_issuer_rate_per_s,
        max_member_rate_per_s=limits.max_member_rate_per_s,
        rate_burst_s=limits.rate_burst_s,
        max_rate_sources=limits.max_rate_sources,
        submissions=min(limits.max_submissions, limits.max_checking, limits.pool_entries),
        submitted_bytes=limits.pool_bytes,
        issuer_abreast=limits.issuer_abreast,
        issuer_most_abreast=max(limits.issuer_abreast, limits.issuer_most_abreast),
        issuer_floor_per_s=limits.issuer_floor_per_s,
        issuer_alone_ms=limits.issuer_alone_ms,
    )


def credentials(settings: NodeSettings, url: str, members: Members) -> Credentials:
    tokens = [Token(table.role, table.side, bytes.fromhex(table.sha256), table.expires) for table in settings.tokens]
    authority = settings.authority or authority_of(settings.public_url or url)
    return Credentials(settings.side, authority, members, settings.limits.max_created_skew_s, tokens)


def http_limits(settings: NodeSettings) -> HttpLimits:
    limits = settings.limits
    return HttpLimits(
        max_body_bytes=limits.max_body_bytes,
        max_events_bytes=limits.max_events_bytes,
        max_held_bytes=limits.max_held_bytes,
        body_timeout_s=limits.body_timeout_s,
        read=limits.max_reads,
        entries=limits.max_entry_reads,
        prove=limits.max_proofs,
        submit=limits.max_submissions,
        events=limits.max_event_requests,
        gossip=limits.max_gossip,
        status=limits.max_status,
    )


def connection_limits(settings: NodeSettings) -> ConnectionLimits:
    limits = settings.limits
    return ConnectionLimits(
        max_connections=limits.max_connections,
        max_head_bytes=limits.max_head_bytes,
        max_handshakes=limits.max_handshakes,
        max_pipelined=limits.max_pipelined,
        head_timeout_s=limits.head_timeout_s,
        idle_timeout_s=limits.idle_timeout_s,
        body_timeout_s=limits.body_timeout_s,
        send_timeout_s=limits.send_timeout_s,
        max_unsent_bytes=limits.max_unsent_bytes,
    )


def tls_of(settings: NodeSettings) -> Tls | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        if settings.tls_certificate != settings.tls_key:
            raise SettingsError("tls_certificate, tls_key: both or neither")
        return None
    return Tls(settings.tls_certificate, settings.tls_key)
