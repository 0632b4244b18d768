"""The HTTP API of DRAG."""
