"""The attacks, one file each. ``lab.catalogue`` lists them."""
