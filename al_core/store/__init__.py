"""The log: everything that must survive, in one database.

records     its rows as the rest of the program sees them: plain dataclasses
tables      the tables of a database
rows        each is written only once, and annotations are read only once
glance      what a message of the labelling grid needs, in few statements
image_rows  the rows of a manifest, column by column
manifests   the same of all experiments in the database, in blocks
database    opening one, locks, its errors as sentences
upgrade     migrations, after a backup; databases of other versions are refused
backup      a copy while it is in use, and bringing one back
erase       an experiment's rows, out of the database's files
experiments listing them, and what is done with one as a whole
store       Store: what the rest of the program calls
"""
