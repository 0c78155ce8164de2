"""The one exception that the lab shows to a person."""


class LabError(Exception):
    """Something went wrong; the message is one sentence that says what to do.

    :param message: one sentence, complete, naming what and where
    :param status: the exit code of the command that fails with it
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
