"""Which version this is."""

from importlib.metadata import PackageNotFoundError, metadata


def version() -> str:
    """The version of the distribution; where it is not installed, a word that says so."""
    try:
        return str(metadata("vuemantics-ws")["Version"])
    except PackageNotFoundError:
        return "(not installed)"
