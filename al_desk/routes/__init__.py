"""What the browser asks for by HTTP, beside the page: Starlette's routes.

app        the routes, and what happens when the server starts
visitors   who may ask: the cookie of our own, and the login
link       what the page's scripts need of the page: the cookie, another run, tokens; .js has it
grids      the grids that people answer in, and their tokens
labels     labels come in, and are answered once they are on disk
events     what a browser sends of a grid
answers    what that means for the log, and what the log says since
names      what images are called
take_back  undo across batches and rounds
why        why an image is asked about
pictures   pictures of an experiment, as thumbnails and whole
uploads    pictures that come in
"""
