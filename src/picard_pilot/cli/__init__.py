"""The commands: one file per noun, each parses, calls what stands below, and prints."""
