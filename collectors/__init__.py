"""Collectors: one file per source; `collect()` looks once and returns batches, events and roster rows."""
