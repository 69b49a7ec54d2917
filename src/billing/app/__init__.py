"""The program: its commands, and the only place where slices are wired together."""
