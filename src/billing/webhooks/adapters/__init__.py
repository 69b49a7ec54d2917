"""The way out: HTTPS to vetted addresses alone."""
