"""Renderer of scenes with gauges: pictures with boxes that are free of charge."""
