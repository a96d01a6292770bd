"""Faces over HTTP: a REST interface for programs, and a page for people."""
