"""What ends a command through nobody's mistake and no defect: the machine's trouble, or training that went astray."""


class Failure(RuntimeError):
    """Said in one line: what happened, what is still good, what may help. The exit code is 1."""
