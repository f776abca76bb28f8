"""All that is measured: one line a metric, with what it sees and what it misses."""

from collections.abc import Mapping
from types import MappingProxyType

from evaluation.score import Metric

_ALL = (
    Metric(
        name="psnr",
        title="PSNR",
        unit="dB",
        better="higher",
        needs="reference",
        digits=2,
        sees="How far the reflectance of each pixel is from the true picture, all four bands.",
        misses="It rewards blur: a cautious average scores above a sharp picture whose edges lie "
        "one pixel off.",
    ),
    Metric(
        name="ssim",
        title="SSIM",
        better="higher",
        needs="reference",
        sees="Whether local brightness, contrast and pattern are as in the true picture.",
        misses="It too prefers smooth to slightly shifted, and is high wherever the ground is "
        "plain.",
    ),
    Metric(
        name="rmse",
        title="RMSE",
        better="lower",
        needs="reference",
        digits=4,
        sees="The typical error of a pixel, in reflectance, all four bands.",
        misses="A few very wrong pixels outweigh many slightly wrong ones, and blur is rewarded.",
    ),
    Metric(
        name="ergas",
        title="ERGAS",
        better="lower",
        needs="reference",
        sees="The error of each band relative to its brightness, so that dark bands count too.",
        misses="Where the error lies; it depends on the scale factor (here 1/4), so values of "
        "other scale factors do not compare.",
    ),
    Metric(
        name="spectral_angle",
        title="Spectral angle",
        unit="°",
        better="lower",
        needs="reference",
        digits=2,
        sees="Whether the four bands of a pixel keep their proportions: its colour.",
        misses="Brightness: a picture half as bright has angle 0.",
    ),
    Metric(
        name="ndvi",
        title="NDVI error",
        better="lower",
        needs="reference",
        digits=4,
        sees="How wrong a vegetation index made from the picture would be, on average.",
        misses="Errors that red and near infrared share, and everything in green and blue.",
    ),
    Metric(
        name="lpips",
        title="LPIPS (RGB)",
        better="lower",
        needs="reference",
        sees="How different the picture looks from the true one to a network trained on what "
        "people see, in true colour.",
        misses="Near infrared, and whether reflectance is right: plausible invented detail can "
        "score well. It was trained on photographs.",
    ),
    Metric(
        name="lpips_nir",
        title="LPIPS (NIR-R-G)",
        better="lower",
        needs="reference",
        sees="The same in false colour, where vegetation is red: detail of the near infrared.",
        misses="Whether reflectance is right; the network has never seen false colour.",
    ),
    Metric(
        name="clip_iqa",
        title="CLIP-IQA",
        better="higher",
        needs="nothing",
        sees="Whether the picture by itself looks sharp, clean and detailed.",
        misses="Truth: it knows no reference and rewards invented detail and sharpening, so read "
        "it beside hallucination.",
    ),
    Metric(
        name="sms",
        title="SMS (squared difference)",
        better="lower",
        needs="reference",
        digits=4,
        sees="Whether Segment Anything outlines the same objects in both pictures, as the paper "
        "writes it.",
        misses="Small objects: large ones decide, and strong blur can score worse than another "
        "place.",
    ),
    Metric(
        name="sms_iou",
        title="SMS (1 - mean IoU)",
        better="lower",
        needs="reference",
        sees="How much of each outlined object is the same in both, small and large alike.",
        misses="What lies inside an object, and objects that Segment Anything does not know from "
        "above.",
    ),
    Metric(
        name="boundary_f",
        title="Boundary F",
        better="higher",
        needs="reference",
        sees="Whether the outlines of objects run within 2 pixels (5 m) of where they should.",
        misses="Which object an outline belongs to.",
    ),
    Metric(
        name="input_reflectance",
        title="Reflectance kept",
        better="lower",
        needs="input",
        digits=5,
        sees="How far the result, seen again at 10 m, is from what the satellite measured.",
        misses="All detail finer than 10 m: an enlarged input is nearly perfect here.",
    ),
    Metric(
        name="input_angle",
        title="Colour kept",
        unit="°",
        better="lower",
        needs="input",
        digits=2,
        sees="Whether the result, seen again at 10 m, has the colours the satellite measured.",
        misses="Brightness, and all detail finer than 10 m.",
    ),
    Metric(
        name="input_shift",
        title="Place kept",
        unit="px",
        better="lower",
        needs="input",
        digits=2,
        sees="Whether the result lies where the input lies, in pixels of 10 m.",
        misses="Shifts of single objects: it is one shift for the whole picture.",
    ),
    Metric(
        name="improvement",
        title="Improvement",
        better="higher",
        needs="both",
        sees="Share of the detail that is new against the input and true (opensr-test).",
        misses="Brightness, colour and place, which are matched to the reference first; read all "
        "three shares together.",
    ),
    Metric(
        name="omission",
        title="Omission",
        better="lower",
        needs="both",
        sees="Share of the detail that is in the true picture and was left out (opensr-test).",
        misses="Invented detail; a picture full of it omits little.",
    ),
    Metric(
        name="hallucination",
        title="Hallucination",
        better="lower",
        needs="both",
        sees="Share of the detail that is neither in the input nor true: invented (opensr-test).",
        misses="Left-out detail: a blurred picture wins here, so never read it alone.",
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric by name, in the order in which they are shown."""
