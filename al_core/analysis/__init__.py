"""What the numbers say: curves, comparisons, when to stop, which labels to doubt.

curves         learning curves: read, averaged, with bands
comparison     which curve is better, and whether that is chance
stopping       what the last labels gained, and how many more a target takes
classes        those without a label, never recognised, or not measured
label_quality  suspicious labels; how far annotators agree
pool_map       the pool in two dimensions
chart_files    curves as a chart in a file
"""
