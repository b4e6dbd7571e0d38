"""The labelling grid: a Streamlit component (v2), its JavaScript and style.

label_grid       the component; .js draws it and handles what the person does, .css styles it
tiles            what the grid shows of an image; .js draws the tiles of a frame
head.js          progress, problems, buttons and classes above the tiles
large.js         the current picture, large
panels.css       the style of the panels, and of small screens
journal.js       what the person did, and its way to the log
keyboard.js      what a key means
selection.js     which tiles are selected
class_list.js    the list of classes
elements.js      help, legend, pictures, the panel that says why
"""
