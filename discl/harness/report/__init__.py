"""`discl report` and `discl figures`: what the stored runs of a benchmark say, as one HTML page and
as figures for papers.
"""
