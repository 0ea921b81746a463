"""The databases of the lab, one folder for all: a server, its writers, and what a restore of it has."""
