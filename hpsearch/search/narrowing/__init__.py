"""The next ranges: what a stage's best trials say, with the evidence for each."""
