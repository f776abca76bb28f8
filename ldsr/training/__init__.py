"""Makes the embedded weights again, from nothing: python -m ldsr.training."""
