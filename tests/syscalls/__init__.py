"""File system calls that fail, kill or never reached the disk, one at a time (logs.md 3.1, Tessera's harness)."""
