"""Scenarios whose seeds take a moment."""

SMALL = """\
version: 1
name: small
description: Does a tab learn how its upload ends?
duration: 5s
server: {config: {grace: 0, drain: 0}}
users: {alice: {}}
uploads:
  - id: up
    owner: alice
    start: 500ms
    outcome: {completed: 100%}
    pipeline: [{stage: queued, for: 100ms}, {stage: indexing, for: 200ms, steps: 3}]
clients:
  - {id: tab, user: alice}
expect:
  - terminal: {is: completed, within: 1s}
"""

UNLUCKY = SMALL.replace("completed: 100%", "completed: 97%, failed: 3%").replace("name: small", "name: unlucky")
"""Some seeds fail: it is the dice that say whether the upload is completed, and it is expected to be."""
