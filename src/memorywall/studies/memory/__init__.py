"""Fig. 4 of "AI and Memory Wall": the training memory of eight models."""
