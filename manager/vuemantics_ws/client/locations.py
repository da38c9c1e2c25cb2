"""Where a server is: its two addresses as people give them, and as they are shown."""

from urllib.parse import SplitResult, urlsplit

from vuemantics_ws.errors import BadSetting

PUBLIC_URL = "ws://127.0.0.1:8765/ws/uploads"
CONTROL_URL = "http://127.0.0.1:8766"

START_ONE = "start one with: vuemantics-ws serve"


def check_url(url: str, *, setting: str, schemes: tuple[str, str]) -> SplitResult:
    """The parts of a URL.

    Raises:
        BadSetting: it is none, or has another scheme; ``setting`` is the name of the option that gave it.
    """
    expected = f"{setting}: expected a URL that begins with {schemes[0]}:// or {schemes[1]}://"
    try:
        parts = urlsplit(url)
        known = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise BadSetting(f"{expected}, got something that is no URL", setting=setting) from None
    if not known:
        raise BadSetting(f"{expected}, got {shown(url)!r}", setting=setting, hint=_likely(url, schemes))
    return parts


def shown(url: str) -> str:
    """A URL without what may be secret in it: name and password, query and fragment."""
    bare = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = bare.partition("://")
    host, slash, path = rest.partition("/")
    return (f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else bare.rpartition("@")[2])[:200]


def is_local(parts: SplitResult) -> bool:
    """Whether the URL names this machine, so that no proxy belongs in between."""
    host = parts.hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def reason_of(error: OSError) -> str:
    """Why a connection could not be made, in words. asyncio's own name the call that failed instead."""
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "nothing listens there"
    return (error.strerror or str(error)).lower()


def _likely(url: str, schemes: tuple[str, str]) -> str | None:
    counterparts = {"http": "ws", "https": "wss", "ws": "http", "wss": "https"}
    scheme, separator, rest = shown(url).partition("://")
    if not separator:
        return f"did you mean {schemes[0]}://{scheme}?"
    if counterparts.get(scheme) in schemes:
        return f"did you mean {counterparts[scheme]}://{rest}?"
    return None
