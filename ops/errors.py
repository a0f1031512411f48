"""The one error that a verb ends with."""


class OpsError(Exception):
    """A verb could not do its work; the text is whole sentences for a person, without secrets.

    Other errors with such texts (ApiError, WrongWorldError) pass through unchanged.
    """
