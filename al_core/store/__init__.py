"""The log: everything that must survive, in one database.

records           its rows as the rest of the program sees them
annotations       what annotators said
tables            what a database holds
rows              how rows are written, once, and read back
annotation_cache  annotations, each read once
database          opening one, its errors as sentences, its migrations
store             Store: what the rest of the program calls
"""
