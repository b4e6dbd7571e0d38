"""The labelling grid: a Streamlit component (v2), its JavaScript and its looks.

label_grid       the component; .js what is drawn and what the person does, .css how it looks
events           what the browser sends
sprites          the pictures of a batch in one
tiles            what it shows of an image; .js one tile, and what never changes while a batch lasts
head.js          progress, problems, buttons and classes above the tiles
panels.css       the looks of the panels, and of small screens
journal.js       the events and what of them is saved
keyboard.js      what a key means
selection.js     which tiles are selected
class_list.js    the list of classes
elements.js      help, legend, pictures, the panel that says why
grid_status.js   hands on what has changed
unsaved_answers  .js and .css: what the browser keeps of grids that are gone
"""
