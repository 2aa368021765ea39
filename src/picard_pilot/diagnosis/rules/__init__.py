"""ADD AN ERROR RULE HERE: the core's rules as data, by theme; each with its own sample and counter-sample."""
