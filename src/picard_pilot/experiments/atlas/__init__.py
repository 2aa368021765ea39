"""The ATLAS experiment: what its transforms and wrappers report, and rules for what Athena says of its failures."""
