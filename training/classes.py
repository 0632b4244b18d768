"""The classes, in the order of the model's outputs (kept apart so that the renderer needs no PyTorch)."""

LABELS = ("analog", "digital", "counter")
