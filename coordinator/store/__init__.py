"""Durable state of the coordinator: the journal of its rounds and the log of events for people."""
