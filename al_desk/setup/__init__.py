"""Experiments: started, chosen, renamed; who is labelling; what goes out and comes in.

sidebar             choose, rename, delete and restore an experiment
storage             what lies on the disk: shown, cleaned; experiments deleted for good
defaults            what suits the images an experiment starts on, and why
new_experiment      the form that starts one
upload              pictures that the browser sends, for the form
found               what a source holds, and whether its folders are classes
before_start        what a round would cost on this machine
labelling_settings  what can be changed at any time: strategy, guesses
class_editor        classes added, renamed, merged, split, retired
training_settings   how rounds train, before the start and while an experiment runs
annotator           who may see the page, who is labelling, and what happened in the meantime
image_news          one line on an experiment's images, and what stands behind it:
source_changes      what has changed in a folder, and what was left out
changed_pictures    files that show another picture: the same one, or another?
moved_source        the new path of images that are not where they were
copies              pictures that are there more than once, or nearly
import_export       labels and images, out and in
"""
