"""What a command reports in one line."""


class CommandError(Exception):
    """A command cannot go on; the message is one line for whoever runs it."""
