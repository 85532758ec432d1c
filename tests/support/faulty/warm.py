"""Loads what a command needs. The process of which all others are copies imports this once."""

import distributed  # noqa: F401
import numpy  # noqa: F401
import optuna  # noqa: F401
import pandas  # noqa: F401
import psycopg  # noqa: F401
import rich.console
import rich.progress  # noqa: F401
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.sqlite  # noqa: F401
import tiny

import hpsearch.__main__
import hpsearch.cli.app
import hpsearch.cli.progress
import hpsearch.cli.start
import hpsearch.objectives.network.objective
import hpsearch.objectives.network.train_once
import hpsearch.reports.tables
import hpsearch.samplers
import hpsearch.search.advice
import hpsearch.search.best
import hpsearch.search.evaluation
import hpsearch.search.findings
import hpsearch.search.stage
import hpsearch.search.stage_loop
import hpsearch.search.workflow
import hpsearch.store.arrays
import hpsearch.store.bulk  # noqa: F401

tiny.split()
