"""What ``simulate`` is made of: how a run is played, shown, recorded and told of."""
