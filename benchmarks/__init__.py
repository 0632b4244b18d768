"""DRAG measured beside the bound, a monolith and other queues: `make bench`; docs/performance.md tells of it."""
