"""Weightless fills, and the choice among them by trial."""
