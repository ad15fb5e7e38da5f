"""Large offline jobs on Ray Data: what the service answers, without the service."""
