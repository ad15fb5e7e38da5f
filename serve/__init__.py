"""The HTTP service: one engine per replica, a result cache, and the Ray Serve deployment."""
