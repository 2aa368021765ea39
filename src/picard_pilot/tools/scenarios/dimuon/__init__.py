"""Real physics for the demonstration: the Z boson in pairs of muons."""
