"""The errors this package raises on purpose.

Every message is written for the person at the screen: what was found, what was expected, what to
do.
"""


class LdsrError(Exception):
    """Anything the person can mend; never raised for a programming mistake."""


class PatchError(LdsrError):
    """A picture that cannot be read, or is not what a Sentinel-2 patch must be."""


class AmbiguousPatchError(PatchError):
    """A picture that could be read in more than one way; the person must choose.

    Attributes:
        question: "scale" (how digital numbers become reflectance) or "bands" (which band is which).
        choices: the values the person can choose from, as `read_patch` takes them.
    """

    def __init__(self, message: str, *, question: str, choices: tuple[str, ...]) -> None:
        super().__init__(message)
        self.question = question
        self.choices = choices


class SceneError(LdsrError):
    """A scene that cannot be found, fetched or processed."""


class WeightsError(LdsrError):
    """Weights that are missing, damaged, or do not fit the model."""


class MetricError(LdsrError):
    """A score that cannot be computed from what was given."""
