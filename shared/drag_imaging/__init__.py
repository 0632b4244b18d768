"""What API, viewer and workers share about pictures; knows no Redis and no web framework."""
