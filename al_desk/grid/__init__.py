"""The labelling grid: a Streamlit component (v2), its JavaScript and style.

label_grid       the component; .js holds its parts together
tiles            what the grid shows of an image; .js draws the tiles of a frame, .css styles them
acts.js          what the person does with the images
journal.js       what the person did, and its way to the log
keyboard.js      what a key means
legend.js        which class is on which key
class_list.js    the list of classes
selection.js     which tiles are selected
layout.js        how the tiles lie, and how large they are
head             progress, problems and buttons above the tiles
large            the current picture, large
stage.js         a picture that is zoomed and moved
light.js         brightness and contrast
why.js           the panel that says why
panels.css       the style of the panels, and of small screens
elements.js      help, and what the browser remembers
"""
