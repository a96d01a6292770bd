"""What the scripts of this folder share; they import this package and never each other."""
