"""Reading: how a config is read, and what was assumed where it names nothing."""
