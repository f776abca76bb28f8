"""Where scenes, places and background maps come from, and the environment that changes it.

Addresses alone: nothing here goes to the network.
"""

import dataclasses
import os
import urllib.parse

from ldsr.errors import SceneError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalogue:
    """A STAC API with Sentinel-2 Level-2A as Cloud-optimised GeoTIFFs.

    Attributes:
        key, title: short name, and the one to show.
        url: of the API.
        collection: in it.
        original: its numbers are ESA's own, and what it says of their offset is true.
        token_url: answers {"token": ...} to be appended to every address, or None.
    """

    key: str
    title: str
    url: str
    collection: str
    original: bool
    token_url: str | None = None

    @property
    def public_url(self) -> str:
        """The address without user name, password or query, to be written down."""
        parts = urllib.parse.urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=host, query="", fragment="").geturl()


EARTH_SEARCH = Catalogue(
    key="earth-search",
    title="Earth Search",
    url="https://earth-search.aws.element84.com/v1",
    collection="sentinel-2-c1-l2a",
    original=True,
)
PLANETARY_COMPUTER = Catalogue(
    key="planetary-computer",
    title="Planetary Computer",
    url="https://planetarycomputer.microsoft.com/api/stac/v1",
    collection="sentinel-2-l2a",
    original=True,
    token_url="https://planetarycomputer.microsoft.com/api/sas/v1/token/sentinel-2-l2a",
)


def catalogues() -> tuple[Catalogue, ...]:
    """List the catalogues, the default first: $LDSR_STAC_URL alone where it is set.

    LDSR_STAC_COLLECTION, LDSR_STAC_TITLE and LDSR_STAC_TOKEN_URL belong to it.
    """
    url = os.environ.get("LDSR_STAC_URL", "").rstrip("/")
    if not url:
        return EARTH_SEARCH, PLANETARY_COMPUTER
    collection = os.environ.get("LDSR_STAC_COLLECTION") or EARTH_SEARCH.collection
    own = Catalogue(
        key="own",
        title=os.environ.get("LDSR_STAC_TITLE") or urllib.parse.urlsplit(url).hostname or url,
        url=url,
        collection=collection,
        original=collection == EARTH_SEARCH.collection,
        token_url=os.environ.get("LDSR_STAC_TOKEN_URL") or None,
    )
    return (own,)


def choose(key: str) -> Catalogue:
    """Choose a catalogue by its key, the default one for "".

    Raises:
        SceneError: there is no such catalogue.
    """
    known = {catalogue.key: catalogue for catalogue in catalogues()}
    if key and key not in known:
        raise SceneError(f"There is no catalogue {key!r}; known are {', '.join(known)}.")
    return known[key] if key else catalogues()[0]


def geocoder() -> str:
    """Address of the place search (Nominatim's API): $LDSR_GEOCODER_URL; "" or "off" is none."""
    url = os.environ.get("LDSR_GEOCODER_URL", "https://nominatim.openstreetmap.org/search")
    return "" if url == "off" else url
