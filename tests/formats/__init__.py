"""The formats: what each writes, what each refuses, and what others wrote."""
