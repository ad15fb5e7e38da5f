"""What the service counts about itself, read out of its Prometheus text.

Pure: text in, figures out. A metric that a service does not have gives no figure; one that this
module does not know by name is kept as it is, so that nothing is hidden.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app.errors import ServiceError
from app.exits import saved_fraction

PREFIX = "offramp_"
REPLICA_LABEL = "replica"
# Samples that are read below, or that say nothing to a person (buckets, times of creation).
READ = {
    *("requests_total", "errors_total", "cache_total", "answers_total"),
    *("exit_depth_sum", "exit_depth_count", "layers_run_total", "layers_full_total"),
    *("flops_run_total", "flops_full_total", "model_info"),
    *("queue_length", "slots_in_use", "slots"),
}
SILENT_SUFFIXES = ("_bucket", "_created")

Counts = Mapping[str, float]


@dataclass(frozen=True)
class ServiceFigures:
    """Figures since the replica started.

    Attributes:
        replicas: Names of those that the text speaks of.
        gauges: Queue length, slots in use and slots, where they are told.
        mean_depths: Layers run on average, by exit site.
        layers_saved: Share of layers that did not run, by exit site.
        flops_saved: Share of operations that were not done; None where they are not counted.
        requests: HTTP answers by status.
        errors: Errors by code.
        cache: Answers by cache state.
        presets: Answers by preset.
        audit: What the audit says, by metric and labels.
        others: Everything else, by metric and labels.
    """

    replicas: tuple[str, ...]
    gauges: Counts
    mean_depths: Counts
    layers_saved: Counts
    flops_saved: float | None
    requests: Counts
    errors: Counts
    cache: Counts
    presets: Counts
    audit: Counts
    others: Counts


def read_figures(text: str) -> ServiceFigures:
    """The figures in a Prometheus text.

    Raises:
        ServiceError: It is no such text.
    """
    try:
        samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith(PREFIX)
        ]
    except ValueError as error:
        raise ServiceError("The service's metrics are in a form this page cannot read.") from error
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_name[sample.name.removeprefix(PREFIX)].append(sample)
    return figures_of(by_name)


def figures_of(samples: Mapping[str, list[Sample]]) -> ServiceFigures:
    """The figures of samples by their name without its prefix."""
    depth_sum = added(samples.get("exit_depth_sum", []), "site")
    depth_count = added(samples.get("exit_depth_count", []), "site")
    run, full = (added(samples.get(f"layers_{part}_total", []), "site") for part in ("run", "full"))
    flops = [sum_of(samples.get(f"flops_{part}_total", [])) for part in ("run", "full")]
    return ServiceFigures(
        replicas=replica_names(each for group in samples.values() for each in group),
        gauges={
            name: sum_of(samples[name])
            for name in ("queue_length", "slots_in_use", "slots")
            if name in samples
        },
        mean_depths={site: depth_sum[site] / count for site, count in depth_count.items() if count},
        layers_saved={site: saved_fraction(run[site], full[site]) for site in full},
        flops_saved=saved_fraction(*flops) if flops[1] else None,
        requests=added(samples.get("requests_total", []), "status"),
        errors=added(samples.get("errors_total", []), "code"),
        cache=added(samples.get("cache_total", []), "state"),
        presets=added(samples.get("answers_total", []), "preset"),
        audit=labelled(samples, is_audit=True),
        others=labelled(samples, is_audit=False),
    )


def added(samples: Iterable[Sample], label: str) -> dict[str, float]:
    """Values added up by one label."""
    sums: dict[str, float] = defaultdict(float)
    for sample in samples:
        sums[sample.labels.get(label, "")] += sample.value
    return dict(sums)


def sum_of(samples: Iterable[Sample]) -> float:
    """All values added up."""
    return sum(sample.value for sample in samples)


def replica_names(samples: Iterable[Sample]) -> tuple[str, ...]:
    """The replicas that samples carry."""
    names = {sample.labels[REPLICA_LABEL] for sample in samples if REPLICA_LABEL in sample.labels}
    return tuple(sorted(names))


def labelled(samples: Mapping[str, list[Sample]], is_audit: bool) -> dict[str, float]:
    """Samples without a place of their own, the audit's or the rest, each with its labels."""
    found: dict[str, float] = defaultdict(float)
    for name, group in samples.items():
        is_silent = name in READ or name.endswith(SILENT_SUFFIXES)
        if is_silent or name.startswith("audit") != is_audit:
            continue
        for sample in group:
            found[name + label_words(sample)] += sample.value
    return dict(found)


def label_words(sample: Sample) -> str:
    """The labels of a sample but the replica's."""
    labels = {name: value for name, value in sample.labels.items() if name != REPLICA_LABEL}
    return f" ({', '.join(f'{name} {value}' for name, value in labels.items())})" if labels else ""
