"""Files, crowds and accidents: what the product must stand."""
