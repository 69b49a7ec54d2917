"""Style is a test: sizes, words, faces, and what money and time may be made of."""
