"""Command lines of preparation."""
