"""Every option of Picard as one table, and the one reader of flags, environment and settings file."""
