"""Queue and storage facts: one validated model, and where each value came from."""
