"""Volumes in, checked; registration, masks, patches: SimpleITK and numpy, never jax."""
