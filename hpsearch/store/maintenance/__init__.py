"""Maintenance of a study database: check, repair, recovery, copies, vacuum, and deleting on purpose."""
