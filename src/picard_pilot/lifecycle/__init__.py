"""What happens next: the pure machine that takes an event and a case and returns the next case and instructions."""
