"""Pipelines: the commands, each a short walk along the line."""
