"""Reading: how a config is read, and the values assumed for absent keys."""
