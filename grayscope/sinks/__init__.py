"""Sinks: send alerts and incidents to where people look."""
