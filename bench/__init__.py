"""Speed, each operation against a yardstick in the same run: `make bench`."""
