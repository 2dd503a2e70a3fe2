"""Measures two subjects in turns, so that other load on the machine affects both alike."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from tools.benchmarks.client import Bound, Item, Sample, drive
from tools.benchmarks.organizations.results import Comparison, Reading
from tools.benchmarks.subjects import Server

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rounds: int = 5
    seconds: float = 0.8
    """The duration of a round of one subject."""
    repetitions: int = 9
    """How often a single page or request is measured."""
    bulk_operations: int = 500
    """The operations of a bulk request."""
    hold_seconds: float = 0.0
    """For this long, all organizations send requests before memory is compared."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two subjects: its name, and its requests."""

    name: str
    server: Server
    items: Iterator[Item]
    connections: int = CONNECTIONS
    operations: int = 1
    """The operations of each request."""

    async def run(self, bound: Bound) -> tuple[Sample, float]:
        """Send requests. Returns the sample and the CPU microseconds per operation."""
        sample, seconds = Sample(), 0.0
        while not sample.latencies:  # a busy machine can take a short round to connect
            before = self.server.cpu()
            sample = await drive(self.server.address, self.connections, self.items, bound)
            seconds = self.server.cpu() - before
        return sample, seconds / (len(sample.latencies) * self.operations) * 1e6

    def rate(self, sample: Sample) -> float:
        """Correct operations per second."""
        return sample.rate * self.operations


@dataclass(frozen=True, slots=True)
class Question:
    """The subject of a comparison, and the lowest ratio of the rates that meets the goal."""

    topic: str
    what: str
    least: float | None = 0.9


async def compare(
    question: Question, subject: Side, reference: Side, plan: Plan, most_requests: int = 10**9
) -> Comparison:
    """Measure both sides in each round; the first round warms up."""
    rounds: list[tuple[tuple[Sample, float], tuple[Sample, float]]] = []
    for number in range(plan.rounds + 1):
        seconds = plan.seconds if number else plan.seconds / 2
        bound = Bound(most_requests, seconds)
        if number % 2:
            measured = await subject.run(bound), await reference.run(bound)
        else:
            other = await reference.run(bound)
            measured = await subject.run(bound), other
        rounds.append(measured)
    return summarize(question, subject, reference, rounds[1:])


def summarize(
    question: Question,
    subject: Side,
    reference: Side,
    rounds: list[tuple[tuple[Sample, float], tuple[Sample, float]]],
) -> Comparison:
    """The comparison of the medians of rounds, each with the subject first."""
    ours, theirs = [each for each, _ in rounds], [each for _, each in rounds]
    samples = [sample for sample, _ in (*ours, *theirs)]
    rates = [subject.rate(sample) for sample, _ in ours]
    reference_rates = [reference.rate(sample) for sample, _ in theirs]
    return Comparison(
        question.topic,
        question.what,
        subject.name,
        reference.name,
        rate=round(statistics.median(rates), 1),
        reference_rate=round(statistics.median(reference_rates), 1),
        cpu=round(statistics.median(cpu for _, cpu in ours), 1),
        reference_cpu=round(statistics.median(cpu for _, cpu in theirs), 1),
        ratio=round(
            statistics.median(
                ours_rate / theirs_rate if theirs_rate else 0.0
                for ours_rate, theirs_rate in zip(rates, reference_rates, strict=True)
            ),
            3,
        ),
        least=question.least,
        wrong=sum(sample.wrong for sample in samples),
        first_wrong=next((sample.first_wrong for sample in samples if sample.wrong), ""),
    )


async def latency(
    reading: Reading, server: Server, items: Iterator[Item], repetitions: int
) -> Reading:
    """The median duration in milliseconds of requests, one after another."""
    sample = await drive(server.address, 1, items, Bound(repetitions, 120))
    return Reading(
        reading.topic,
        reading.what,
        round(sample.percentile(50), 2),
        "ms",
        reading.most,
        reading.note or f"slowest {sample.percentile(100):,.1f}",
        sample.wrong,
        sample.first_wrong,
    )
