"""The store: tables, queries and the bulk writer, on SQLite and PostgreSQL."""
