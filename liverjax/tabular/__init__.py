"""Models of tables: simple baselines beside the network."""
