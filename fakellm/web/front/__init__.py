"""HTTP/1.1 on plain connections, by a parser in C and without a header object per answer."""
