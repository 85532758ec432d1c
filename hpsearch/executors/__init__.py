"""Executors: batches of trials are evaluated in this process, in a pool of processes, or on Dask.

Import from the modules: `__main__` passes through here to pin BLAS, before anything else is loaded.
"""
