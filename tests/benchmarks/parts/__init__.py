"""The parts of the benchmark: each measures its contenders in rounds and says what came of the figures asked."""
