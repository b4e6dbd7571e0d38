"""Files: where they lie, and that they are whole.

paths      where everything is kept
atomic     written whole or not at all
locks      one process at a time
arrays     NumPy's, perhaps damaged
csv_cells  rows that a spreadsheet takes for text
download   from mirrors, going on where it broke off
"""
