"""The four bands this product works on, and the names Sentinel-2 products give them."""

BANDS = ("R", "G", "B", "NIR")
"""Band order of every array in this product."""

SENTINEL2 = {"R": "B04", "G": "B03", "B": "B02", "NIR": "B08"}
"""The Sentinel-2 band, 10 m, behind each of BANDS."""
