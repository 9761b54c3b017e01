"""What users touch: the library's door, and the command that only calls it."""
