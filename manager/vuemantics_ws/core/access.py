"""Who may follow what (SEMANTICS.md section 4), as far as a head alone can say."""

from collections.abc import Callable

Access = Callable[[str, str | None], bool]
"""``access(user_id, owner)``: whether this user may get what is said of an upload with this owner (None: nobody named one)."""


def owner_only(user_id: str, owner: str | None) -> bool:
    """The owner, whom the publisher names, and nobody else. An upload without an owner is nobody's."""
    return user_id == owner


def anyone(user_id: str, owner: str | None) -> bool:
    """Every user who has authenticated."""
    return True
