"""Batches as tasks on a Dask cluster; nothing outside this package knows Dask."""
