"""Other ways to serve the same model; they run in .venv-bench."""
