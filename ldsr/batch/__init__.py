"""Many patches: a folder or a table of places, their results, a table and a gallery."""
