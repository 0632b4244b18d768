"""The ingest service: identifies uploads and routes them to models."""
