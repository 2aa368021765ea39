"""The nouns of Picard: frozen data that every room shares, without any I/O."""
