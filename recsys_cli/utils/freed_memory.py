"""Memory that is free again, but that libraries keep for their next use."""


def give_back() -> None:
    """Let Arrow and the C library give it to the system: the next step is another library's work.

    The C library gives its own back with Arrow's pool "system", which the program chooses.
    """
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
