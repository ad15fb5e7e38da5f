"""The Service tab: the service's own figures, asked for every few seconds while the tab is open."""

from dataclasses import dataclass
from functools import partial

import gradio as gr

from app.client import Client
from app.panel import run_event
from app.pictures import error_html
from app.service_figures import read_figures
from app.service_pictures import service_html

TAB = "service"
TAB_LABEL = "Service"
REFRESH_S = 4.0
EMPTY = '<div class="off-empty">The figures come as soon as this tab is open.</div>'


@dataclass(frozen=True)
class ServiceTab:
    """The tab's components, still to be told when somebody looks."""

    client: Client
    figures: gr.HTML
    timer: gr.Timer

    def wire(self, tabs: gr.Tabs, tab: gr.Tab) -> None:
        """Ask when the tab is opened and at every tick; the timer sleeps while it is closed."""
        show = partial(show_figures, self.client)
        tab.select(show, None, self.figures, api_name="service_figures", show_progress="hidden")
        self.timer.tick(
            show,
            None,
            self.figures,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="once",  # a tick is left out while the one before it is under way
        )
        tabs.select(wake, None, self.timer, api_visibility="private", show_progress="hidden")


def build_tab(client: Client) -> ServiceTab:
    """Lay the tab out."""
    gr.Markdown(f"Figures of the service, asked for every {REFRESH_S:g} s while this tab is open.")
    figures = gr.HTML(EMPTY, apply_default_css=False, elem_id="service-figures")
    return ServiceTab(client, figures, gr.Timer(REFRESH_S, active=False))


def wake(event: gr.SelectData) -> gr.Timer:
    """The timer runs while its tab is the one that is open."""
    return gr.Timer(active=event.value == TAB_LABEL)


def show_figures(client: Client) -> str:
    """The tab filled with the figures of this moment, or with what failed."""

    def figures() -> str:
        return service_html(
            read_figures(client.metrics()), client.health(), client.model(), client.policies()
        )

    return run_event(figures, lambda *failure: error_html(*failure))
