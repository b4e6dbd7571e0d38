"""What the page is made of: the labelling grid (``label_grid``) and the charts."""
