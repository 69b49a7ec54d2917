"""Pure building blocks shared by every slice; standard library only, no I/O."""
