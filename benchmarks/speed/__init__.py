"""How fast: the engine alone, over HTTP beside IOPaint's own server, and what each part costs."""
