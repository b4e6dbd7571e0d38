"""Experiments: started, chosen, renamed; who labels; what goes out and comes in.

sidebar         reopen, rename, delete experiments; how one is labelled
new_experiment  the form that starts one
round_cost      what a round would take on this machine
login           who may see the page
annotator       who labels, remembered by the browser; what happened meanwhile
import_export   labels and images, out and in
"""
