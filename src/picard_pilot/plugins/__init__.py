"""Finding and loading plug-ins: the tables of their rooms, import paths, and entry points of other packages."""
