"""Drills on the real service: what a user would see while things break, written down and balanced like books."""
