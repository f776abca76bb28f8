"""Speed and memory of the product beside opensr-model: python -m tests.benchmarks.

Nothing here imports `ldsr` or torch at the top: a case's process decides what it loads, and when.
"""
