"""The user interface: the library's entry point, and the command that calls it."""
