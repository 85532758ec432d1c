"""The parts of ``tests/benchmarks/scale.py``: how far one stage goes, in workers and in trials."""
