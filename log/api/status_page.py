"""The page at `/`: which logs there are, how large and fresh, who vouches for them. No script at all."""

from collections.abc import Sequence
from html import escape

from log.api.served import LogStatus
from log.formats.checkpoint import is_rehearsal

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{border:1px solid #999;padding:.3rem .6rem;text-align:left}"
)
_COLUMNS = ("Log", "Origin", "Entries", "Head", "Witnessed", "Vouched by", "State")


def render(node: str, logs: Sequence[LogStatus], guards: Sequence[str]) -> str:
    """Return the whole page as HTML."""
    head = "".join(f"<th scope=col>{column}</th>" for column in _COLUMNS)
    rows = "".join(_row(hosted) for hosted in logs)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(node)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(node)}</h1><p>{escape(_protection(guards))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        "<p><a href=openapi.json>Interface</a> · <a href=healthz>Health</a> · <a href=metrics>Metrics</a></p>\n"
    )


def _protection(guards: Sequence[str]) -> str:
    if not guards:
        return "No guard is configured: this node is not protected against restored images."
    return f"Guards: {', '.join(guards)}."


def _row(hosted: LogStatus) -> str:
    cells = (
        hosted.name,
        hosted.origin,
        f"{hosted.size:,}",
        f"{_age(hosted.head_age_ms)} old",
        _witnessed(hosted),
        ", ".join(hosted.vouched_by) or "nobody yet",
        _state(hosted),
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _witnessed(hosted: LogStatus) -> str:
    if hosted.witnessed_age_ms is None:
        return "no head yet"
    return f"{hosted.witnessed_size or 0:,} entries, {_age(hosted.witnessed_age_ms)} old"


def _state(hosted: LogStatus) -> str:
    state = hosted.last_error or "in order"
    if not hosted.guarded:
        state = f"not guarded: serves, does not sign. {hosted.last_error}".strip()
    if hosted.is_open:
        state = f"{state}; open: a test log that takes any entry from anybody"
    if is_rehearsal(hosted.origin):
        state = f"{state}; a rehearsal: nothing here counts"
    return f"closed: {hosted.closed}; {state}" if hosted.closed else state


def _age(milliseconds: int) -> str:
    """Return a duration in the largest unit that fits."""
    seconds = max(milliseconds, 0) // 1000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
