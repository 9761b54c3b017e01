"""Modules run without memory: what they compute, move and keep, operator by operator."""
