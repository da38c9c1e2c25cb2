"""What a scenario may claim to have provoked: the closed list of ``sometimes: {that: …}``."""

PROBES: dict[str, str] = {
    "outbox used": "frames waited for a connection that did not keep up",
    "conflated": "a newer state took the place of one that had not left yet",
    "reconnected": "a client came back after its connection had ended",
    "joined after the end": "a client joined, or subscribed, after an upload had ended, and learned the outcome",
    "event published while no subscriber was connected": "an event was accepted while nobody who follows it was connected",
    "upload regenerated": "an upload began a new attempt after its end",
    "event dropped": "the judge refused an event",
    "subscribed between state write and publish": "a subscribe and an event of its upload were under way at the same time",
}
"""What each of them means."""
