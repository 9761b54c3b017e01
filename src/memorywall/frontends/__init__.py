"""Front ends: where models come from."""
