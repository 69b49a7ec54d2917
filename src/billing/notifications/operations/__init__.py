"""The verbs of notifications: tell, send, send again, set."""
