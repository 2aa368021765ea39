"""Every file arrives: what to take from where, stage-in, stage-out, the log archive, and the transfer worker."""
