"""Detectors: one file per kind of trouble; each is a deterministic fold from ticks to evidence."""
