"""Real nodes and a real monitor as processes: killed, cut off, copied, restored, stopped; then audited."""
