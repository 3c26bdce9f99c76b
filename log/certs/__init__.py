"""X.509 as a log sees it: certificates are sliced, never re-encoded.

Read `der`, `times`, then `certificate`, `precert` (RFC 6962 section 3.2), `trustlist` (who was listed, and when) and
`chain` (what a log admits). No certificate's fate depends on what a general parser will refuse next year: our
own slicer reads the few fields that a log needs, and signatures are checked by `log.crypto.suites`.
"""
