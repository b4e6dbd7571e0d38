"""Experiments: started, chosen, renamed; who is labelling; what goes out and comes in.

sidebar             choose, rename, delete and restore an experiment
new_experiment      the form that starts one
before_start        what a round would cost on this machine, and which classes will not be measured
labelling_settings  what can be changed at any time: strategy, guesses
training_settings   how rounds train, before the start and while an experiment runs
annotator           who may see the page, who is labelling, and what happened in the meantime
import_export       labels and images, out and in
"""
