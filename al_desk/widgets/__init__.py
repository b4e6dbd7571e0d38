"""What is drawn in several places.

buttons       buttons and settings whose press is not lost
job_progress  a running job: progress, time left, curves, cancel
charts        tables in, Altair charts out; pure functions
picture_wall  pictures side by side
formatting    errors, names and times as a person reads them
"""
