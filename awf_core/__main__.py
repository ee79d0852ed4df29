"""`python -m awf_core`: the `awf` command, where another package has replaced the script of that name."""

from __future__ import annotations

from awf_core.cli.main import main

if __name__ == "__main__":
    main()
