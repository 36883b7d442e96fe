"""Takes the place of the build backend of that name; see build.py."""
