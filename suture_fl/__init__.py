"""What the three commands share: how they start, how they can be interrupted, and how they tell what is wrong.

The package has the name of the distribution, so that nobody else's is in its place: it is the first that is imported, and
makes sure that the others, whose names are common words, are ours. :mod:`suture_fl.start` has the entry points and needs the
standard library only; :mod:`suture_fl.commandline` runs a command line and turns errors into one line and an exit code.
"""
