"""Input that means harm: to a node over HTTP, and from a node to those who read it."""
