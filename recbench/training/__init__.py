"""The one training loop, on transformers.Trainer and accelerate."""
