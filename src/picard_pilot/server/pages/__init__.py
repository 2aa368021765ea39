"""The monitor's pages: HTML made on the server, kept up to date by server-sent events."""
