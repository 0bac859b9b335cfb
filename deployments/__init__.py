"""Work, state and delivery on Ray: the model replicas, the task tracker, the archive. Knows nothing of HTTP."""
