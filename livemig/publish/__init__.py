"""What is handed out of the notebooks: a static site, slides, a handout on one page, an app.

`page.py` is the frame of every page of the site. Every page is one HTML file that needs no other: style sheet, pictures
and scripts are inside it, nothing is loaded from a network, and it opens from a folder as well as from a web server.
"""
