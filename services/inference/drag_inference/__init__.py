"""The inference service: runs models on frames."""
