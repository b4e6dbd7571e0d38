"""The labelling grid: a Streamlit component (v2), its JavaScript and style.

label_grid       the component; .js draws it and handles what the person does, .css styles it
events           what the browser sends
tiles            what the grid shows of an image; .js unpacks a frame and draws its tiles
head.js          progress, problems, buttons and classes above the tiles
panels.css       the style of the panels, and of small screens
journal.js       the events, and which of them are saved
keyboard.js      what a key means
selection.js     which tiles are selected
class_list.js    the list of classes
elements.js      help, legend, pictures, the panel that says why
grid_status.js   delivers the status
unsaved_answers  .js and .css: what the browser keeps of grids that are gone
"""
