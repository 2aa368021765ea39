"""The pilot's hands: commands, processes, files, disk, clock, log and HTTP."""
