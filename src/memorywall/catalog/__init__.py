"""The catalogue: data with a source for every number, and its readers."""
