"""What hpsearch is measured against; each module is a program: ``python -m peers.book_loop JSON``."""
