"""Settings of all tests."""

from hypothesis import settings

# Machines are shared: nothing is held to a time.
settings.register_profile("memorywall", deadline=None)
settings.load_profile("memorywall")
