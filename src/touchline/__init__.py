"""Touchline: find the people a business should talk to, and start the conversation accountably."""

__version__ = "0.1.0"
