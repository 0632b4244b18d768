"""Training of the gauge detector: rendered scenes, real photos, network, evaluation and export."""

import os

# onnxruntime tells its maker about models and hosts unless this is set when it is loaded, by whichever module is first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
