"""What lies between two programs: as numbers in :mod:`~vuemantics_ws.simulation.network.lanes`, and as transports in memory."""
