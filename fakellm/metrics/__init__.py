"""What is counted of a server, and how it is told to Prometheus."""
