"""The command line, as scripts: a command, its output, its exit code."""
