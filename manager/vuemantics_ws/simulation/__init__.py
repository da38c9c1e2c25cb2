"""The laboratory: scenario files, the world that plays them, and the checkers that judge what happened.

A run goes from one part to the next, and none knows of a later one (``tests/test_architecture.py`` has the rules):

- ``format`` reads a scenario file, ``planning`` throws its dice (``dice``, ``pipeline``): same file and seed, same plan.
- ``playing`` plays a plan against a ``system``, with the tabs of ``browser``. What happens goes into a ``log``.
- ``real`` is a system of processes and sockets, ``virtual`` one in memory: made of ``clock`` (a loop whose time jumps, and
  processes that share it), ``network``, and in the middle ``hub`` (the simulated broker) or ``resp`` (a Redis). Both use
  ``site`` (settings, tokens, a server that runs already), ``plain`` (publishers that know nothing of us), ``redis_line``.
- ``judging`` judges a log, whoever wrote it.
- ``sweeping`` plays many seeds, ``shrinking`` looks for the smallest scenario that still fails, ``replaying`` compares a run
  with its trace.
- ``overview`` and ``board`` tell what a scenario is, and how a run stands; ``versions`` what plays it.
"""
