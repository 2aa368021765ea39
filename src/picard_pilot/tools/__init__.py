"""What people ask without a running pilot: the demonstration and its scenarios."""
