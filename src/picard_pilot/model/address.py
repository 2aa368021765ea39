"""Addresses of files (SURLs, TURLs) as people and journals see them: without the signatures and tokens of a query.

Taking an address apart to use it is its mover's.
"""


def without_query(surl: str) -> str:
    """The address without what follows a question mark, where signatures and tokens stand."""
    return surl.partition("?")[0]


def hide_query(text: str, surl: str) -> str:
    """The text without the query of this address: programs and libraries repeat an address as it was given, and what
    stands behind its question mark may be a signature."""
    query = surl.partition("?")[2]
    return text.replace(query, "...") if "=" in query else text
