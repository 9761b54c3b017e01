"""Reports: results in, something to look at out."""
