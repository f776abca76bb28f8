"""Sentinel-2 by place and date: finds scenes in a STAC catalogue, and places by their names.

All network of this package is here and, through GDAL, in `ldsr.data.windows` and
`ldsr.data.openfile`. Every failure is one SceneError with a sentence; nothing is fetched before
somebody asks.
"""

import dataclasses
import functools
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, date, datetime
from typing import Any

from ldsr.data.bands import BANDS
from ldsr.data.diskcache import DiskCache
from ldsr.data.endpoints import Catalogue, choose, geocoder
from ldsr.data.places import Box
from ldsr.data.scenes import Scene, day, group, read_item
from ldsr.data.windows import RETRIES, http_timeout, is_window_kept
from ldsr.errors import SceneError
from ldsr.manifest import home

MOST_ITEMS = 300
"""Items that one search fetches at most; where there are more, those the server lists first."""
USER_AGENT = "LDSR-Studio/0.1"
NO_STAC = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What answers of an unexpected shape raise."""
_tokens: dict[str, tuple[str, float]] = {}
"""By address: token, and until when it is used. Two threads may fetch one at once: nobody waits
for another's."""


@dataclasses.dataclass(frozen=True)
class Place:
    """An answer of the geocoder: a name, longitude and latitude in degrees."""

    name: str
    lon: float
    lat: float


def find_scenes(
    box: Box, *, start: date, end: date, cloud_percent: float = 100, catalogue: str = ""
) -> list[Scene]:
    """Find the scenes that show a box, newest first.

    Args:
        box: where.
        start, end: first and last day (UTC).
        cloud_percent: largest cloud share of the whole tile, 0..100; filtered here, since
            catalogues differ in how they do it. Scenes without that number are kept.
        catalogue: key, the default one by default.

    Returns:
        At least one scene.

    Raises:
        SceneError: nothing found, or the catalogue did not answer as it should.
    """
    if start > end:
        raise SceneError(f"The first day, {start}, is after the last, {end}; exchange them.")
    chosen = choose(catalogue)
    items = _search(chosen, intersects=box.geojson(), datetime=f"{start}/{end}")
    scenes = _scenes(items, chosen, box)
    if items and not scenes:
        raise SceneError(
            f"{chosen.title} lists {len(items)} items here, but none with the bands B04, B03, B02 "
            "and B08 as files on the web; choose another catalogue or collection."
        )
    if not scenes:
        raise SceneError(
            f"{chosen.title} has no scene of this box from {start} to {end}; widen the dates, or "
            "choose a place on land or near a coast: the open sea is not imaged."
        )
    clear = [scene for scene in scenes if (scene.cloud_percent or 0) <= cloud_percent]
    if not clear:
        least = min(scene.cloud_percent or 0 for scene in scenes)
        count = f"There are {len(scenes)} scenes" if len(scenes) > 1 else "There is one scene"
        raise SceneError(
            f"{count} from {start} to {end}, but with more than {cloud_percent:g} % cloud (the "
            f"clearest {least:.0f} %); allow more cloud or widen the dates."
        )
    return clear


def find_scene(scene_id: str, box: Box, *, catalogue: str = "") -> Scene | None:
    """Find one scene by its id, None where there is no such scene; found once, it is kept on disk.

    Where its tile ends within the box, the other tiles of the same pass belong to it.

    Raises:
        SceneError: the catalogue did not answer as it should.
    """
    chosen = choose(catalogue)
    kept = _kept_items(chosen, scene_id, box)
    items = kept or _search(chosen, ids=[scene_id])
    scenes = _scenes(items, chosen, box)
    if not scenes:
        return None
    if not kept and scenes[0].tiles[0].covers(box) < 1:
        that_day = day(scenes[0].acquired)
        near = _search(chosen, intersects=box.geojson(), datetime=f"{that_day}/{that_day}")
        items += [item for item in near if item.get("id") != scene_id]
        scenes = _scenes(items, chosen, box)
    if not kept:
        window_cache().put(_item_key(chosen, scene_id, box), json.dumps(items).encode())
    mine = (scene for scene in scenes if scene_id in {tile.id for tile in scene.tiles})
    return next(mine, scenes[0])


def is_kept(scene_id: str, box: Box, *, catalogue: str = "") -> bool:
    """Whether a box of a scene is on disk, so that reading it needs no network."""
    chosen = choose(catalogue)
    scenes = _scenes(_kept_items(chosen, scene_id, box), chosen, box)
    if not scenes or scenes[0].crs is None:
        return False
    hrefs, box = scenes[0].tiles[0].hrefs, box.moved_to(scenes[0].crs)
    roles = (*BANDS, "SCL") if "SCL" in hrefs else BANDS
    return all(is_window_kept(hrefs[role], box, window_cache()) for role in roles)


def find_places(text: str) -> list[Place]:
    """Ask the geocoder for a place by its name.

    Raises:
        SceneError: it does not answer, is switched off, or knows no such place.
    """
    url, text = geocoder(), " ".join(text.split())[:200]
    instead = "type latitude and longitude, or click the map."
    if not text:
        raise SceneError(f"No place was named; type a name, or {instead}")
    if not url:
        raise SceneError(f"The place search is switched off on this server; {instead}")
    try:
        found = _get(url, {"q": text, "format": "jsonv2", "limit": 5})
        places = [
            Place(str(one["display_name"]), float(one["lon"]), float(one["lat"])) for one in found
        ]
    except (ValueError, KeyError, TypeError):
        raise SceneError(
            f"The place search answers something that is no list of places; {instead}"
        ) from None
    except OSError as error:
        raise SceneError(f"The place search does not answer{_why(error)}; {instead}") from None
    if not places:
        raise SceneError(f"The place search knows no place {text!r}; {instead}")
    return places


def check(catalogue: str = "") -> None:
    """Ask whether a catalogue answers at all; the answer holds for a minute.

    Raises:
        SceneError: it does not.
    """
    message = _reached(choose(catalogue), int(time.monotonic() // 60))
    if message:
        raise SceneError(message)


def fetch_item(url: str, what: str) -> Any:
    """Fetch the JSON of a STAC item at an address.

    Args:
        url: the address.
        what: the item, as a message names it.

    Raises:
        SceneError: no answer, or no JSON.
    """
    try:
        return _get(url)
    except (ValueError, RecursionError):
        raise SceneError(
            f"{what} is no JSON, expected a STAC item or a GeoTIFF (.tif); check the address, or "
            "that no log-in page stands before it."
        ) from None
    except OSError as error:
        raise SceneError(
            f"{what} cannot be fetched{_why(error)}; check the address, or try again later."
        ) from None


def signed(catalogue: Catalogue, href: str) -> str:
    """Append the catalogue's token to an address, where it asks for one.

    Raises:
        SceneError: the token cannot be had.
    """
    if catalogue.token_url is None:
        return href
    token, end = _tokens.get(catalogue.token_url, ("", 0.0))
    if time.time() >= end:
        token, end = _fetch_token(catalogue)
        _tokens[catalogue.token_url] = token, end
    return f"{href}{'&' if '?' in href else '?'}{token}"


def window_cache() -> DiskCache:
    """What was fetched, on disk: $LDSR_HOME/scenes, at most $LDSR_CACHE_MB (500) megabytes."""
    try:
        megabytes = max(0, int(os.environ.get("LDSR_CACHE_MB", "500")))
    except ValueError:
        megabytes = 500
    return DiskCache(home() / "scenes", megabytes * 2**20)


def _scenes(items: list[dict[str, Any]], catalogue: Catalogue, box: Box) -> list[Scene]:
    entries = [read_item(item, original=catalogue.original) for item in items]
    return group([entry for entry in entries if entry], box, catalogue=catalogue.key)


def _item_key(catalogue: Catalogue, scene_id: str, box: Box) -> str:
    return f"item {catalogue.url} {catalogue.collection} {scene_id} {box}"


def _kept_items(catalogue: Catalogue, scene_id: str, box: Box) -> list[dict[str, Any]]:
    try:
        return json.loads(window_cache().get(_item_key(catalogue, scene_id, box)) or b"[]")
    except ValueError:
        return []


def _search(catalogue: Catalogue, **wanted: Any) -> list[dict[str, Any]]:
    """Ask a STAC API; items as dictionaries."""
    from pystac.errors import STACError
    from pystac_client import Client
    from pystac_client.errors import ClientTypeError
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO

    door = StacApiIO(headers={"User-Agent": USER_AGENT}, max_retries=_retries())

    def ask() -> list[dict[str, Any]]:
        client = Client.open(catalogue.url, stac_io=door, timeout=_timeouts())
        found = client.search(
            collections=[catalogue.collection], max_items=MOST_ITEMS, limit=100, **wanted
        )
        return list(found.items_as_dicts())

    try:
        items = _in_time(ask)
        if not all(isinstance(item, dict) for item in items):
            raise ValueError("items are no objects")
        return items
    except (APIError, OSError) as error:
        if isinstance(error.__context__, UnicodeError):
            raise SceneError(_no_stac(catalogue)) from None
        raise SceneError(_no_answer(catalogue.title, error)) from None
    except (STACError, ClientTypeError, NotImplementedError, *NO_STAC):
        raise SceneError(_no_stac(catalogue)) from None


def _get(url: str, query: Mapping[str, Any] | None = None) -> Any:
    """Fetch JSON.

    Raises:
        OSError: no answer, or one of refusal.
        ValueError: no JSON.
    """
    import requests
    from requests.adapters import HTTPAdapter

    def ask() -> Any:
        with requests.Session() as session:
            for scheme in ("https://", "http://"):
                session.mount(scheme, HTTPAdapter(max_retries=_retries()))
            answer = session.get(
                url, params=query, timeout=_timeouts(), headers={"User-Agent": USER_AGENT}
            )
            answer.raise_for_status()
            return answer.json()

    return _in_time(ask)


def _in_time(ask: Callable[[], Any]) -> Any:
    """Do something on the network in a thread: a server that sends drop by drop is left alone.

    Raises:
        OSError: not done in time; and whatever `ask` raises.
    """
    answer: Future = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="ldsr-catalogue", daemon=True).start()
    try:
        return answer.result(timeout=(RETRIES + 1) * http_timeout() + 5)
    except TimeoutError:
        raise OSError("timed out") from None


def _timeouts() -> tuple[float, float]:
    return min(5.0, http_timeout()), http_timeout()


def _retries() -> Any:
    """Try again where the server is busy or failing, soon; never where it is slow."""
    from urllib3.util import Retry

    return Retry(
        total=RETRIES,
        connect=1,
        read=0,
        backoff_factor=0.3,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        respect_retry_after_header=False,
        raise_on_status=False,
    )


def _no_stac(catalogue: Catalogue) -> str:
    return (
        f"{catalogue.title} answers something that is no STAC catalogue; check its address, or "
        "that no log-in page stands before it."
    )


def _no_answer(who: str, error: Exception) -> str:
    why = _why(error)
    if "429" in why:
        return f"{who} is asked too often (HTTP 429); wait a minute, or choose another catalogue."
    return f"{who} does not answer{why}; try again later or choose another one."


def _why(error: Exception) -> str:
    answer = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(answer, "status_code", None)
    if status:
        return f" (HTTP {status})"
    text = str(error).lower()
    if "timed out" in text or "timeout" in text:
        return f" within {http_timeout():g} s"
    return " (it cannot be reached)"


@functools.lru_cache(maxsize=8)
def _reached(catalogue: Catalogue, minute: int) -> str:
    try:
        if "stac_version" not in _get(catalogue.url):
            raise ValueError("no STAC")
    except NO_STAC:
        return _no_stac(catalogue)
    except OSError as error:
        return _no_answer(catalogue.title, error)
    return ""


def _fetch_token(catalogue: Catalogue) -> tuple[str, float]:
    """Fetch a token and until when (seconds since 1970) we use it: a minute before it ends."""
    try:
        answer = _get(catalogue.token_url)
        token = str(answer["token"])
        end = answer.get("msft:expiry") or answer.get("expiry")
        last = datetime.fromisoformat(end).astimezone(UTC).timestamp() if end else time.time() + 360
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SceneError(f"{catalogue.title} gives no token to read its files with.") from None
    except OSError as error:
        raise SceneError(_no_answer(f"The token service of {catalogue.title}", error)) from None
    return token, last - 60
