"""Imports of all that commands load, and the search's data: the process that is copied imports this once."""

import importlib
import pkgutil

import distributed  # noqa: F401
import pandas  # noqa: F401
import psycopg  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.sqlite  # noqa: F401

import faulty.search  # noqa: F401
import hpsearch

for module in pkgutil.walk_packages(hpsearch.__path__, "hpsearch."):
    importlib.import_module(module.name)
