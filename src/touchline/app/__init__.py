"""What Touchline does, use case by use case: each function takes the ports it needs and returns what happened."""
