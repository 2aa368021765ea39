"""Addresses of files (SURLs, TURLs) as people and journals see them: without the signatures and tokens of a query.

Taking an address apart to use it is its mover's.
"""


def without_query(surl: str) -> str:
    """The address without what follows a question mark, where signatures and tokens stand."""
    return surl.partition("?")[0]
