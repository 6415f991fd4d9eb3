"""The round machine: what to do next in a round, as values; no chain, no files, no clock, no network."""
