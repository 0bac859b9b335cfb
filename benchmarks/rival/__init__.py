"""IOPaint 1.6.0's own server, in an environment of its own: what a user would pick instead."""
