"""Adapters: the store, sources, DNS, SMTP, files and the clock. All that touches the outside world."""
