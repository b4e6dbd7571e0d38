"""What is drawn in several places.

buttons       buttons and settings whose press is not lost
job_progress  a running job: progress, time left, curves, cancel
charts        tables in, Altair charts out; pure functions
matters       what there is to tell, behind a few words
picture_wall  pictures side by side
scripts       the JavaScript and CSS of a component
formatting    errors, names and times as a person reads them
"""
