"""Pages: they parse, call the application, and render."""
