"""Networks around a loaded model."""
