"""From evidence to fault, without any I/O."""
