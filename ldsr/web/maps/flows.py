"""What happens on the map: boxes, places, scenes with their cloud, and reading one of them.

Each function gives what the components become; none knows the layout. What arrives from the browser
is checked here.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date
from typing import Any

from ldsr.data import scl
from ldsr.data.catalog import check, find_places, find_scene, find_scenes
from ldsr.data.endpoints import catalogues
from ldsr.data.patch import Patch
from ldsr.data.places import Box, box_at
from ldsr.data.references import find_reference, is_fetched, list_references, serving
from ldsr.data.scene_reader import read_classes, read_scene
from ldsr.data.scenes import Scene, day
from ldsr.errors import AmbiguousPatchError, LdsrError, SceneError
from ldsr.web.ledger import fault
from ldsr.web.maps.basemaps import basemaps
from ldsr.web.resolve import flows
from ldsr.web.resolve.views import status
from ldsr.web.said import public
from ldsr.web.scenes.area import Area, area_of, is_area
from ldsr.web.scenes.offer import offer_area
from ldsr.web.studio import Studio

_log = logging.getLogger(__name__)

MOST_SHOWN = 60
"""Scenes in the list, the newest ones."""
AT_ONCE = 5
"""Scenes whose cloud over the box is read at the same time."""
LONGEST = 600.0
"""Seconds that reading one box may take."""
TOO_SLOW = (
    "The scene's server did not send the box within {minutes:g} minutes; try again, or choose a "
    "smaller box or another scene."
)
GONE = "This list is no longer kept; search again."
FAULT = "That failed: a fault in the program; the server's log tells more."
Value = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Found:
    """A scene in somebody's list, and the box it was found for."""

    scene: Scene
    box: Box


Find = Callable[[], Found]
"""Finds what shall be read; may go to the network."""


async def answer(studio: Studio, value: Value, visitor: str) -> AsyncIterator[dict[str, Any]]:
    """Answer what the map asks for, except for reading a scene (`read`).

    Args:
        studio: the server's state.
        value: the map's, see `ldsr.web.maps.picker`.
        visitor: whose map it is.

    Yields:
        New values of the map; none any more once the visitor asks for something else.
    """
    turn = studio.ask_map(visitor)
    asks = {"basemaps": _open_map, "box": _place_box, "place": _find_places}
    try:
        if value.get("ask") == "scenes":
            async for changes in _find_scenes(studio, value):
                if studio.map_turn(visitor) != turn:
                    return
                yield {**value, **changes}
        elif value.get("ask") in asks:
            yield {**value, **await asyncio.to_thread(asks[value["ask"]], value)}
    except LdsrError as error:
        yield {**value, "state": "error", "message": public(error)}
    except Exception:
        message = fault(_log, "the map's question failed", FAULT)
        yield {**value, "state": "error", "message": message}


async def read(
    studio: Studio,
    state: dict[str, Any],
    visitor: str,
    find: Find,
    *,
    scale: str | None = None,
) -> AsyncIterator[tuple[dict[str, Any], list[Any]]]:
    """Read the box of a scene and show it as the new input.

    Args:
        studio: the server's state.
        state: of the visitor.
        visitor: whose it is.
        find: gives scene and box.
        scale: how numbers become reflectance, where the person was asked.

    Yields:
        Changes of the map's value, and what `flows.took` or `flows.refused` gives (while reading,
        the screen with nothing else changed).
    """
    turn, began = studio.take_turn(visitor), time.monotonic()
    stop = studio.begin_reading(visitor)
    named: list[Found] = []

    def work() -> Patch:
        named.append(find())
        return read_scene(named[0].scene, named[0].box, scale=scale)

    task = asyncio.create_task(asyncio.to_thread(work))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    while not task.done() and not stop.is_set():
        text = f"Reading the box from {named[0].scene.id}" if named else "Asking the catalogue"
        line = status("busy", text, clock=time.monotonic() - began)
        yield {"state": "busy", "message": text}, flows.reading(state, line)
        await asyncio.wait([task], timeout=flows.POLL)
        if time.monotonic() - began > LONGEST:
            break
    if studio.turn(visitor) != turn:
        return
    studio.end_reading(visitor, stop)
    if not task.done() and not stop.is_set():
        text = TOO_SLOW.format(minutes=LONGEST / 60)
        yield {"state": "error", "message": text}, flows.refused(state, text)
        return
    if stop.is_set():
        line = status("idle", "Cancelled. What was there before is shown.")
        yield {"state": "idle", "message": "Cancelled."}, flows.kept(state, line)
        return
    try:
        patch = task.result()
    except AmbiguousPatchError as error:
        pending = {"scene": studio.keep_small(named[-1]), "question": error.question}
        yield {"state": "error", "message": public(error)}, flows.asked(state, pending, error)
    except LdsrError as error:
        yield {"state": "error", "message": public(error)}, flows.refused(state, public(error))
    except Exception:
        message = fault(_log, "a scene could not be read", FAULT)
        yield {"state": "error", "message": message}, flows.refused(state, message)
    else:
        shot = flows.took(studio, patch, None)
        changes = _drawn(named[0].box.moved_to(patch.crs.to_string()))
        changes["picture"] = await asyncio.to_thread(_picture, studio, shot[0]["shown"])
        message = f"The scene of {day(named[0].scene.acquired)} is the input now."
        yield changes | {"state": "done", "message": message}, shot


def offer(
    studio: Studio, state: dict[str, Any], visitor: str, found: Found
) -> tuple[dict[str, Any], list[Any]]:
    """Offer a scene job for an area of a scene; as `read` gives it."""
    studio.take_turn(visitor)
    made = offer_area(found.scene, found.box)
    message = f"The scene of {day(found.scene.acquired)} can be run as a scene job: see the panel."
    return {"state": "done", "message": message}, flows.offered(studio, state, made)


def area_found(studio: Studio, key: str | None) -> Found | None:
    """The scene of somebody's list under a key, where it was found for an area."""
    found = studio.store.get(key)
    return found if isinstance(found, Found) and isinstance(found.box, Area) else None


def listed(studio: Studio, key: str | None) -> Find:
    """Find a scene of somebody's list by its key."""

    def find() -> Found:
        found = studio.store.get(key)
        if not isinstance(found, Found):
            raise SceneError(GONE)
        return found

    return find


def referred(key: str) -> Find:
    """Find the scene of a sample by reference."""

    def find() -> Found:
        known = {reference.key: reference for reference in list_references()}
        if key not in known:
            raise SceneError(f"There is no place {key!r}; known are {', '.join(known)}.")
        return Found(find_reference(known[key]), known[key].box)

    return find


def linked(scene: str, box: Box, catalogue: str) -> Find:
    """Find a scene that a link names."""

    def find() -> Found:
        found = find_scene(scene, box, catalogue=catalogue)
        if found is None:
            raise SceneError(
                f"The catalogue has no scene {scene[:80]}; it may have been processed anew under "
                "another name: search by place and date."
            )
        return Found(found, box)

    return find


def which_references() -> dict[str, Any]:
    """Say which samples by reference cannot be fetched now, and why: {"closed": {key: reason}}."""
    closed, reasons = {}, {}
    for reference in list_references():
        if is_fetched(reference):
            continue
        catalogue = serving(reference)
        if catalogue not in reasons:
            reasons[catalogue] = _unreachable(catalogue)
        if reasons[catalogue]:
            closed[reference.key] = reasons[catalogue]
    return {"key": None, "closed": closed}


def _unreachable(catalogue: str) -> str:
    """Say why a catalogue cannot be asked now, or ""."""
    try:
        check(catalogue)
    except LdsrError as error:
        return public(error)
    return ""


def _open_map(value: Value) -> dict[str, Any]:
    known = [{"key": one.key, "title": one.title} for one in catalogues()]
    chosen = value.get("catalogue") or known[0]["key"]
    return {"basemaps": basemaps(), "catalogues": known, "catalogue": chosen}


def _place_box(value: Value) -> dict[str, Any]:
    return _drawn(_box(value)) | {"state": "idle", "message": ""}


def _find_places(value: Value) -> dict[str, Any]:
    places = find_places(str(value.get("query", "")))
    found = [dataclasses.asdict(place) for place in places]
    return {"found": found, "state": "done", "message": ""}


async def _find_scenes(studio: Studio, value: Value) -> AsyncIterator[dict[str, Any]]:
    """List the scenes, then the cloud over the box of each, as it becomes known."""
    box, asked = _box(value), _filters(value)
    yield {"state": "busy", "message": "Asking the catalogue", "scenes": [], "chosen": None}
    scenes = await asyncio.to_thread(find_scenes, box, **asked)
    shown = scenes[:MOST_SHOWN]
    founds = {studio.keep_small(Found(scene, box)): scene for scene in shown}
    thumb = not isinstance(box, Area) or box.looked_into
    cards = {key: _card(key, scene, thumb=thumb) for key, scene in founds.items()}
    count = f"{len(shown)} scenes" if len(shown) > 1 else "1 scene"
    count += f", the newest of {len(scenes)}" if len(scenes) > len(shown) else ""
    room, done = asyncio.Semaphore(AT_ONCE), 0

    async def look(key: str) -> None:
        async with room:
            measured = await asyncio.to_thread(_box_cloud, founds[key], box)
            cards[key] = cards[key] | measured  # a new one: what was sent before stays as it was

    tasks = [asyncio.create_task(look(key)) for key in cards]
    try:
        while done < len(tasks):
            text = f"{count}; cloud over the box: {done} of {len(tasks)} read"
            yield {"state": "busy", "message": text, "scenes": list(cards.values())}
            await asyncio.wait(tasks, timeout=2 * flows.POLL)
            done = sum(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
    yield {"state": "done", "message": f"{count}.", "scenes": list(cards.values())}


def _card(key: str, scene: Scene, *, thumb: bool) -> dict[str, Any]:
    return {
        "key": key,
        "id": scene.id,
        "date": day(scene.acquired),
        "time": scene.acquired.strftime("%H:%M"),
        "tile_cloud": scene.cloud_percent,
        "box_cloud": None,
        "covers": None,
        "note": "",
        "thumb": f"ldsr/t/{key}.png" if thumb else "",
    }


def _box_cloud(scene: Scene, box: Box) -> dict[str, Any]:
    """Measure cloud and coverage over a box; what goes wrong is a note beside the scene."""
    if isinstance(box, Area) and not box.looked_into:  # by the frames of its tiles alone
        return {"covers": min(1.0, sum(tile.covers(box) for tile in scene.tiles))}
    try:
        classes = read_classes(scene, box)
    except LdsrError as error:
        return {"note": public(error)}
    except Exception:
        return {"note": fault(_log, "a scene classification could not be read", FAULT)}
    if classes is None:
        return {"note": "This scene has no classification: cloud over the box is not known."}
    return {"box_cloud": scl.shares(classes)["cloud"], "covers": scl.covered(classes)}


def _drawn(box: Box) -> dict[str, Any]:
    outline: dict[str, Any] = {"ring": [list(point) for point in box.ring()]}
    if isinstance(box, Area):
        (rows, columns), (across, up) = box.size, box.kilometres
        size = f"{across:.1f} x {up:.1f} km, {columns} x {rows} px"
        return outline | {"footprint": f"{size} in {box.crs}: run as a scene job"}
    outline["side"] = box.side
    ground = f"{box.crs}, {box.west}–{box.east} E, {box.south}–{box.north} N"
    return outline | {"footprint": ground}


def _picture(studio: Studio, key: str) -> dict[str, Any]:
    """Describe the new input as a layer of the map."""
    bounds = studio.store.get(key).on_ground[1]
    return {"url": f"ldsr/r/{key}/ground.png", "bounds": [list(corner) for corner in bounds]}


def _box(value: Value) -> Box:
    lon, lat, side = (value.get(name) for name in ("lon", "lat", "side"))
    numbers = [number for number in (lon, lat) if isinstance(number, int | float)]
    if len(numbers) < 2:
        raise SceneError("No place is chosen; click the map, or type latitude and longitude.")
    if is_area(side, value.get("span")):
        return area_of(float(lon), float(lat), side, value.get("span"))
    return box_at(float(lon), float(lat), side)


def _filters(value: Value) -> dict[str, Any]:
    try:
        start, end = (date.fromisoformat(str(value.get(name))) for name in ("start", "end"))
    except ValueError:
        raise SceneError("A date is missing; choose the first and the last day.") from None
    cloud = value.get("cloud")
    cloud = float(cloud) if isinstance(cloud, int | float) else 100.0
    catalogue = str(value.get("catalogue") or "")
    return {"start": start, "end": end, "cloud_percent": cloud, "catalogue": catalogue}
