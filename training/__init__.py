"""How the weights that are ours were made: data recipe and training. Not part of the service."""
