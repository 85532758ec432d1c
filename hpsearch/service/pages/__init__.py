"""The pages: HTML made by the server, parts of it that are fetched afterwards, and the files that they load."""
