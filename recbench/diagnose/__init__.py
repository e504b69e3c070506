"""The paper's analyses of a training, measured and drawn: probes and figures."""
