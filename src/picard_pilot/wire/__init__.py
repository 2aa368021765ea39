"""The PanDA calls as typed tables, shared by client and embedded server; pure, no I/O."""
