"""Brokers: carry messages from collectors to the engine, in memory, on disk or through Kafka."""
