"""How messages are written, and the gateways that carry them."""
