"""The report for people: what is protected, what writers waited for, and what did not work, as one HTML file.

``model`` is what it shows, ``history`` (the package beside this one) fills it, ``charts`` turns figures into places on a
line, ``render`` writes the page.
"""
