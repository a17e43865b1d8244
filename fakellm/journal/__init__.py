"""What came in and what became of it: the journal of a server's requests."""
