"""The error of a verb that could not do its work."""


class OpsError(Exception):
    """A verb could not do its work; the text is whole sentences for a person, without secrets.

    Other errors with such texts (ApiError, WrongWorldError) pass through unchanged.
    """
