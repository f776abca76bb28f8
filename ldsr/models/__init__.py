"""Networks only: tensors in, tensors out."""
