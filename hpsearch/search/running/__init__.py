"""The loop of a stage: trials claimed, trained in batches, stopped early, recorded."""
