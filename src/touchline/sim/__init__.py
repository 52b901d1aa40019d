"""Stand-ins for the outside world that speak its real protocols, for the demo and the tests."""
