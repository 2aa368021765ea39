"""Names that look unused to the dead-code check but are called by a framework. Keep it short."""
