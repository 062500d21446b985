"""`python -m emer_edge` is `emer-edge`."""

from __future__ import annotations

from emer_edge.cli.main import main

if __name__ == "__main__":
    main()
