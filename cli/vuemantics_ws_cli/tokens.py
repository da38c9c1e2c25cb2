"""Where the token of a user comes from."""

from collections.abc import Awaitable, Callable

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.client.control import Control
from vuemantics_ws.client.locations import check_url
from vuemantics_ws.client.tokens import IssuedToken, mint_token
from vuemantics_ws.errors import BadSetting


def token_source(
    *, user: str | None, token: str | None, secret: str | None, control: str, ttl_s: float
) -> Callable[[], Awaitable[str]]:
    """What to ask before each connection: the token as it is, one minted with the secret, or one of the control port.

    Raises:
        BadSetting: nobody can say who connects.
    """
    if token is not None and user is not None:
        raise BadSetting("expected --user or --token, got both", setting="--token", hint="a token names its user already")
    if token is not None:

        async def given() -> str:
            return token

        return given
    if user is None:
        raise BadSetting(
            "expected a user", setting="--user", hint="--user alice asks the control port for a token, --token brings one"
        )

    async def fresh() -> str:
        return (await issue(user, secret=secret, control=control, ttl_s=ttl_s)).token

    return fresh


async def issue(user: str, *, secret: str | None, control: str, ttl_s: float) -> IssuedToken:
    """A token, made with the secret where there is one, else by the server.

    Raises:
        BadSetting: the secret or the user is empty, or the time is none.
        EnvironmentUnfit, Refused: as the control port answers.
    """
    if secret == "":
        raise BadSetting("--secret: expected a secret that is not empty", setting="--secret")
    if not user or not user.isprintable():
        raise BadSetting("USER: expected a name of printable characters", setting="USER")
    if ttl_s <= 0:
        raise BadSetting("--ttl: expected more than 0s", setting="--ttl")
    if secret is not None:
        return mint_token(user, secret=secret, ttl_s=ttl_s, now=SystemClock().wall())
    check_url(control, setting="--control", schemes=("http", "https"))
    async with Control(control) as server:
        return await server.token(user, ttl_s=ttl_s)
