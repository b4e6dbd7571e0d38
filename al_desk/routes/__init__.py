"""What the browser asks for by HTTP, beside the page: Starlette's routes.

app        the routes, and what happens when the server starts
visitors   who may ask: the cookie of our own, and the login
pictures   pictures of an experiment, as thumbnails and whole
uploads    pictures that come in
"""
