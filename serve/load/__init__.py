"""Load on a running service: arrivals, a client, what came of it. Speaks HTTP alone."""
