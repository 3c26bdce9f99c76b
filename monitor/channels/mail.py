"""E-mail by a relay (RFC 5321), over TLS unless the settings say otherwise.

`smtplib` blocks, so each mail has a thread of its own, which nobody waits for longer than the time limit; while one
hangs, no other is begun.
"""

import asyncio
import smtplib
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256

from log.errors import Unreachable
from monitor.channels.channel import title_of
from monitor.store import KeptAlert

STARTTLS, IMPLICIT, NO_TLS = "starttls", "implicit", "none"


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over."""

    host: str
    port: int
    tls: str = STARTTLS  # or IMPLICIT, or NO_TLS
    user: str = ""
    password: str = ""
    authorities: str | None = None  # file of CA certificates; None: the machine's


class Mail:
    """Mails from one address to some."""

    def __init__(self, name: str, relay: Relay, sender: str, to: Sequence[str], deadline_s: float) -> None:
        self.name = name
        self._relay = relay
        self._sender = sender
        self._to = tuple(to)
        self._deadline_s = deadline_s
        self._thread: threading.Thread | None = None

    async def send(self, kept: KeptAlert, body: bytes) -> None:
        """Hand a mail over."""
        if self._thread is not None and self._thread.is_alive():
            raise Unreachable("the mail before still hangs")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Exception | None] = loop.create_future()
        message = self._message(kept, body)

        def tell(error: Exception | None) -> None:
            if not done.done():
                done.set_result(error)

        def work() -> None:
            error: Exception | None = None
            try:
                self._hand_over(message)
            except (OSError, smtplib.SMTPException, ValueError) as e:
                error = e
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, error)

        self._thread = threading.Thread(target=work, name=f"mail {self.name}", daemon=True)
        self._thread.start()
        error = await done
        if error is not None:
            raise Unreachable(f"no mail was taken, {type(error).__name__}") from error

    def _hand_over(self, message: EmailMessage) -> None:
        relay, timeout = self._relay, self._deadline_s
        context = None if relay.tls == NO_TLS else ssl.create_default_context(cafile=relay.authorities)
        session = (
            smtplib.SMTP_SSL(relay.host, relay.port, timeout=timeout, context=context)
            if relay.tls == IMPLICIT
            else smtplib.SMTP(relay.host, relay.port, timeout=timeout)
        )
        try:
            if relay.tls == STARTTLS:
                session.starttls(context=context)
            if relay.user:
                session.login(relay.user, relay.password)
            session.send_message(message)
            with suppress(OSError, smtplib.SMTPException):
                session.quit()  # the mail was taken, whatever it says to that
        finally:
            session.close()

    def _message(self, kept: KeptAlert, body: bytes) -> EmailMessage:
        alert = kept.alert
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Subject"] = title_of(kept)
        message["Date"] = format_datetime(datetime.fromtimestamp(kept.raised_ms / 1000, UTC))
        # The same alert sent twice is one message.
        identity = sha256(f"{alert.key} {kept.raised_ms}".encode()).hexdigest()[:32]
        message["Message-ID"] = f"<{identity}@{self._sender.rpartition('@')[2]}>"
        message.set_content(f"{alert.subject}: {alert.text}\n\n{body.decode('ascii')}\n", cte="quoted-printable")
        return message
