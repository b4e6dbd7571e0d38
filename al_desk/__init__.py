"""The page; it imports al_core, and nothing imports it.

command    ``al-desk``, which starts the page or a command of al_core
page       the page, top to bottom; no rule of active learning lives here
context    what one run of the page works with
setup      experiments started and chosen, who is labelling, import and export
labelling  the open batch, review, undo, other people
grid       the labelling grid: the component, its JavaScript and style
results    the curve, classes, mistakes, the pool's map; comparing; when to stop
widgets    buttons, charts, progress of a job, walls of pictures, formatting
routes     pictures by HTTP, and who may ask for them
server     what all tabs share
"""
