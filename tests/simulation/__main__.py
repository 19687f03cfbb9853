"""`python -m simulation`; the work is in `many`, which helpers can import."""

from __future__ import annotations

import sys

from .many import main

if __name__ == "__main__":
    sys.exit(main())
