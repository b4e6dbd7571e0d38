"""Files: where they lie, and keeping them whole.

paths      where everything is kept
atomic     files written whole or not at all
safe_names names that any file system takes
locks      one process at a time
arrays     reading NumPy files that may be damaged
csv_cells  rows that a spreadsheet treats as text
download   from mirrors, resuming where it broke off
hub        a file of a model hub, from its cache or downloaded
"""
