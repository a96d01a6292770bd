"""Folders of photos and videos, from the first to the last, whatever happens to one of them."""
