"""Staging of chronic liver disease from CT and MRI.

Importing this package imports nothing else: preparation (SimpleITK), training (jax)
and judgement (numpy, scipy) are three worlds, each usable without the others.
"""

__version__ = "0.1.0"
