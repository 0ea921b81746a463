"""How soon everything is let go when the daemon dies, hangs, or is simply never told to release."""
