"""The jobs of the demonstration as data, and the small programs that they run as payloads."""
