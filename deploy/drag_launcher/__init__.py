"""Starts, watches and checks DRAG on one machine."""
