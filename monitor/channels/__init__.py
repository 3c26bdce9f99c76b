"""Ways to tell people (monitoring.md §6, row 39). One file a kind; what they are told is the same:

    {"class", "code", "detail", "key", "monitor", "raised_ms", "severity", "subject", "text", "type"}

as one line of JSON, `type` being `twinlog/alert@v1`. Delivery is at least once: whoever has seen `key` with this
`raised_ms` has seen the alert.
"""
