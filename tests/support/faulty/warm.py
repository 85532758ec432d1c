"""Loads what a command needs. The process of which all others are copies imports this once."""

import distributed  # noqa: F401
import numpy  # noqa: F401
import optuna  # noqa: F401
import pandas  # noqa: F401
import psycopg  # noqa: F401
import rich.console
import rich.progress  # noqa: F401
import tiny

import hpsearch.__main__
import hpsearch.cli.progress
import hpsearch.cli.start
import hpsearch.objectives.network
import hpsearch.reports.tables
import hpsearch.search.advising.contenders
import hpsearch.search.stages
import hpsearch.search.workflow
import hpsearch.store.bulk  # noqa: F401

tiny.split()
