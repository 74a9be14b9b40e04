"""What every store says of itself when it cannot be asked."""


class StoreUnavailableError(Exception):
    """The store did not answer, or not in time; its text is for logs, never for clients.

    Of a write that ends so, nobody knows whether it was done.
    """
