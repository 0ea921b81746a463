"""One package or module per kind of application: how it is checked, held, witnessed and let go."""
