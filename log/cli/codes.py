"""Exit codes that several commands share."""

EXIT_SETTINGS = 2  # settings or arguments
