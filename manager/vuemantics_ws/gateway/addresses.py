"""Addresses as people write them: hosts, networks, and the origins of pages."""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from vuemantics_ws.errors import BadQuantity

Network = IPv4Network | IPv6Network

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a socket that listens there. A name other than localhost is not looked up."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def read_network(text: str) -> Network:
    """A network such as ``10.0.0.0/8``; a single address is a network of one.

    Raises:
        BadQuantity: with what was expected.
    """
    try:
        return ip_network(text)
    except ValueError:
        raise BadQuantity(
            f"expected an address or a network such as 10.0.0.7 or 10.0.0.0/8, got {text[:60]!r}",
            hint=_the_network_meant(text),
        ) from None


def read_origin(text: str) -> str:
    """An origin in the form in which browsers send it: in lower case, without the port that its scheme implies.

    Raises:
        BadQuantity: with what was expected.
    """
    match = _ORIGIN.fullmatch(text.lower())
    if match is None or (match[3] is not None and int(match[3]) > 65_535):
        raise BadQuantity(f"expected an origin, scheme://host[:port], got {text[:60]!r}", hint=_why_no_origin(text))
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" + (f":{int(port)}" if port and port != _DEFAULT_PORTS.get(scheme) else "")


def url_of(scheme: str, host: str, port: int, path: str = "") -> str:
    """The URL of what listens there."""
    return f"{scheme}://[{host}]:{port}{path}" if ":" in host else f"{scheme}://{host}:{port}{path}"


def _the_network_meant(text: str) -> str | None:
    try:
        return f"did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        return None


def _why_no_origin(text: str) -> str | None:
    if "*" in text:
        return "name each page exactly: with a wildcard any page of the web could use its visitors' tokens"
    if text == "null":
        return "null is what every sandboxed page and local file sends: it identifies nobody"
    if not text.isascii():
        return "write the host as browsers send it, beginning with xn--"
    scheme, _, rest = text.partition("://")
    if not rest:
        return f"did you mean https://{text}?" if text else None
    if "/" in rest or "?" in rest or "#" in rest:
        return f"an origin has no path: {scheme}://{re.split('[/?#]', rest)[0]}"
    return None
