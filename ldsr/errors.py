"""The errors this package raises on purpose.

Every message is written for the person at the screen: what was found, what was expected, what to
do. What a hostile file says of itself may stand in one: it stays one line of text.
"""

LONGEST = 400
"""Characters of a message about a file; more are left out of its middle."""


class LdsrError(Exception):
    """Anything the person can mend; never raised for a programming mistake."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class PatchError(LdsrError):
    """A picture that cannot be read, or is not what a Sentinel-2 patch must be."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(one_line(message), LONGEST))


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

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(one_line(message), LONGEST))


class WeightsError(LdsrError):
    """Weights that are missing, damaged, or do not fit the model."""


class MetricError(LdsrError):
    """A score that cannot be computed from what was given."""


def one_line(text: object) -> str:
    """Make text of several lines, or with characters that are no letters, one plain line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(plain.split())


def shortened(text: str, most: int) -> str:
    """Leave out the middle of a text that is longer than so many characters."""
    if len(text) <= most:
        return text
    kept = most - 5
    return f"{text[: kept - kept // 2]} ... {text[-(kept // 2) :]}"
