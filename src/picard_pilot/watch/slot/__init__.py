"""WHO SAYS WHEN THE SLOT ENDS: one file per source; each says what it read, and what it could not understand."""
