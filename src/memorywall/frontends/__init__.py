"""Front ends: the sources of models."""
