"""Objectives: what turns a trial into a score, and everything that only one kind of them knows."""
