"""The command line: a client of a running service, and the operator's tools beside it."""
