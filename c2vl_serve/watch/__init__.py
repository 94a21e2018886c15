"""Recognition of a camera or a file as it goes, on this machine: ``c2vl-serve watch``."""
