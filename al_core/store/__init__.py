"""The log: everything that must survive, in one database.

records           its rows as the rest of the program sees them: plain, without a database
tables            what a database holds
rows              how rows are written, once, and read back
annotation_cache  annotations, each read once
database          opening one, locks, its errors as sentences
upgrade           its migrations, after a backup; databases of other versions are refused
store             Store: what the rest of the program calls
"""
