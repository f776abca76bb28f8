"""The components that events read and write, and how their events are queued."""

import dataclasses

import gradio as gr

LIVE = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
QUIET = {"show_progress": "hidden", "concurrency_limit": 4, "api_visibility": "private"}
NOW = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}


@dataclasses.dataclass(frozen=True)
class Widgets:
    """The components of the Super-resolve tab."""

    state: gr.State
    samples: gr.HTML
    references: gr.HTML
    map: gr.HTML
    upload: gr.File
    ask: gr.Group
    choice: gr.Radio
    main: gr.HTML
    more: gr.HTML
    tags: gr.HTML
    run: gr.Button
    cancel: gr.Button
    status: gr.HTML
    viewer: gr.HTML
    scenes: gr.HTML

    @property
    def settings(self) -> list[gr.components.Component]:
        """In the order of `tags.read_settings`."""
        return [self.main, self.more, self.tags]

    @property
    def screen(self) -> list[gr.components.Component]:
        """In the order of `flows.screen`."""
        return [self.state, self.viewer, self.status, self.run, self.cancel]

    @property
    def input(self) -> list[gr.components.Component]:
        """In the order of `flows.took`."""
        return [*self.screen, self.samples, self.upload, self.ask, self.choice]
