"""`python -m monitor` is `twinlog-monitor`."""

from monitor.cli import main

if __name__ == "__main__":
    main()
