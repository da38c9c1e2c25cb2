"""The server: an asyncio shell around the rules in :mod:`vuemantics_ws.core`."""
