"""The page; it knows al_core, and nobody knows it.

command    ``al-desk``, which starts the page or a command of al_core
page       the page, top to bottom; no rule of active learning lives here
setup      experiments started and chosen, who labels, import and export
labelling  the open batch, review, undo, other people
grid       the labelling grid: component, its JavaScript and style
results    the curve, classes, mistakes, the pool's map; comparing; when to stop
widgets    buttons, charts, progress of a job, walls of pictures, formatting
server     what all tabs share
"""
