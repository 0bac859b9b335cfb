"""Which pixels of a region are text, and whether the text is gone afterwards. Numpy and OpenCV; no weights."""
