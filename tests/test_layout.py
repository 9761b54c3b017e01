"""Tests lie as the source does: each folder of tests names a room, and each room has tests."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "memorywall"
# Not rooms: properties of all answers, published figures, other counters, tools of the repository.
BESIDE = {"laws", "published", "oracle", "tools"}


def folders(root: Path, pattern: str) -> set[str]:
    """Return the folders below a root that hold a file of a pattern, by their paths."""
    found = {path.parent.relative_to(root).as_posix() for path in root.rglob(pattern)}
    return found - {"."}


def test_each_folder_of_tests_names_a_room() -> None:
    assert folders(TESTS, "*.py") - BESIDE - folders(SOURCE, "*.py") == set()


def test_each_room_and_each_study_has_tests() -> None:
    source = folders(SOURCE, "*.py")
    rooms = {name for name in source if "/" not in name}
    studies = {name for name in source if name.startswith("studies/")}
    assert rooms | studies <= folders(TESTS, "test_*.py")


def test_each_folder_is_a_package() -> None:
    # Two files of one name, such as each study's, are distinguished by the packages around them.
    assert folders(TESTS, "*.py") == folders(TESTS, "__init__.py")


def test_no_test_is_skipped_where_a_package_is_missing() -> None:
    # The extra `test` installs every package; a skip would hide that one went missing.
    skipping = "pytest.import" + "orskip"
    assert [path for path in TESTS.rglob("*.py") if skipping in path.read_text("utf-8")] == []
