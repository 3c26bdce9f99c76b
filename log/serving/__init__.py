"""HTTP/1.1 for those who ask, bounded: what stands under every node's and every monitor's routes.

clients      who sends a request, as far as limits ask
connections  how many there are, and how long each may take for what
connection   one of them
handshakes   how many are greeted by TLS at a time
server       uvicorn on them
sheet        what /metrics says, in the text format of Prometheus
vitals       how the process itself does, for that
"""
