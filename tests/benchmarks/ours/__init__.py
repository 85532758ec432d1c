"""What is measured of hpsearch below its command line; each module is a program, as in `peers`."""
