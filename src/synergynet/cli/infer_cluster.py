"""``synergynet infer --engine ray``: the same photos and results, and Parquet beside them."""

from collections.abc import Sequence
from pathlib import Path

import typer

from ..errors import SynergyNetError
from ..jobs import cluster
from ..jobs.batch import Job, Place
from ..jobs.shards import FOLDER, plan, write_failed
from ..jobs.summary import join_summaries
from .infer_report import Report


def check_options(device: str, output: Path, summary: Path | None) -> None:
    """Raise SynergyNetError for what this engine cannot do, before anything is loaded."""
    cluster.check_ray()
    if device != "cpu":
        raise SynergyNetError(f"--engine ray works on processors; --device {device} takes local")
    table = (output / FOLDER).absolute()
    if summary is not None and table in (summary.absolute(), *summary.absolute().parents):
        raise SynergyNetError(f"{summary}: the parts of the table are there; rename the summary")


def infer_on_cluster(
    job: Job,
    places: Sequence[Place],
    output: Path,
    workers: int | None,
    summary: Path | None,
    report: Report,
) -> None:
    """Do all photos, then write the summary and ``failed.jsonl``; exits as ``infer`` does."""
    table = plan(job, places, output, resume=job.resume)
    with cluster.connected(workers) as count:
        try:
            with report:
                for result in cluster.run(job, table, places, count):
                    report.show_part(table.part(result.number).name, result.tally, result.errors)
        except KeyboardInterrupt:
            report.interrupted()
            raise typer.Exit(130) from None
        finally:
            report.end()
    failed = write_failed(table, places)
    written = [table.folder, *([failed] if report.done.failed else [])]
    if summary is not None:
        written.append(join_summaries(summary, table.all_parts()))
    for path in written:
        report.wrote(path)
    if report.done.failed:
        raise typer.Exit(1)
