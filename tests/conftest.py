"""Shared by all tests: helpers beside a test file can be imported by it."""
