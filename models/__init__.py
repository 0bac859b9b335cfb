"""Pure image work and inpainting engines: arrays in, arrays out. Knows nothing of Ray, HTTP or tasks."""
