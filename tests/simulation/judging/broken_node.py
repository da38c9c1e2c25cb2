"""A node with one bug: ``python -m tests.simulation.judging.broken_node FAULT`` is the gateway in everything else."""

import sys

from tests.simulation.judging import faults_of_laws, faults_of_rules  # noqa: F401 - they are planted by name
from tests.simulation.judging.planting import FAULTS
from vuemantics_ws.gateway.__main__ import main

__all__ = ["FAULTS"]

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    sys.exit(main())
