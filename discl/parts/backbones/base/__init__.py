"""Networks around a loaded model, and what they share."""
