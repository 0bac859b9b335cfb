"""Measurements of quality and speed: what ``scripts/benchmark`` runs. Not part of the service."""
