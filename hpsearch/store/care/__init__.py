"""Care of a study database: is it sound, what can be mended, what can be saved, copies, and deleting on purpose."""
