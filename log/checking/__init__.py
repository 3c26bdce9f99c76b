"""Checking chains in processes of their own.

A check is pure: chain in, entry or refusal out. So it runs beside the node instead of in it: on another core, and
where a certificate that brings down a parser brings down no log. `messages` is what is said between the two sides,
`worker` the process, `pool` the node's side of it.
"""
