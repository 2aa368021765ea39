"""The PanDA server as the pilot meets it: credentials, client and the outbox of final reports."""
