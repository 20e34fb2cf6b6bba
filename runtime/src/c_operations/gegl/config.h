/* What GEGL's own operations include first. A file of this name beside an operation comes before this one. */
