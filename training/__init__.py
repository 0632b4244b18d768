"""Training of the gauge detector: rendered scenes, real photos, network, evaluation and export."""
