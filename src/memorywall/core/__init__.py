"""The nouns: units, formats, tensors, programs, hardware, scenarios, results."""
