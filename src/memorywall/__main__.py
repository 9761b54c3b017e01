"""``python -m memorywall``."""

from memorywall.app.cli import main

raise SystemExit(main())
