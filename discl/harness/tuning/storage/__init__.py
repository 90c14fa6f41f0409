"""The database of studies: address, errors, connections, locks, heartbeats."""
