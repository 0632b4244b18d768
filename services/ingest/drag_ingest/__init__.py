"""Ingest workers: identify accepted pictures and hand them to the models of their pipeline."""
