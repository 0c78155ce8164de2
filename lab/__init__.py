"""A real OpenStack cloud with several compute hosts on one machine."""
