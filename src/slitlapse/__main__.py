"""Let ``python -m slitlapse`` be the same as the command ``slitlapse``."""

from slitlapse.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
