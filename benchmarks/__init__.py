"""Side by side with what users would pick instead: ratios of one run."""
