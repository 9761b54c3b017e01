"""``python -m memorywall``, and the command itself."""

import sys


def run() -> int:
    """Run the command; an interruption while it is imported ends it as any other does."""
    try:
        from memorywall.app.cli import main  # noqa: PLC0415 - so that it can be interrupted

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("memorywall: interrupted\n")
        return 130


if __name__ == "__main__":
    raise SystemExit(run())
