"""The ``cloister`` command: one module a subcommand."""

from __future__ import annotations

import typer

from server.cli import (
    attack,
    boxes,
    compare,
    doctor,
    fetch,
    jobs,
    keys,
    lab,
    ocr,
    policy,
    ramp,
    reload,
    serve,
    shadow,
    submit,
    top,
    worker,
)

app = typer.Typer(
    name="cloister",
    help="Reads scans, each in a jailed process of its own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("serve")(serve.serve)
app.command("reload")(reload.reload)
app.command("top")(top.top)
app.command("ocr")(ocr.ocr)
app.command("submit")(submit.submit)
app.command("jobs")(jobs.jobs)
app.command("fetch")(fetch.fetch)
app.command("worker")(worker.worker)
app.command("boxes")(boxes.boxes)
app.command("compare")(compare.compare)
app.add_typer(keys.keys)
app.add_typer(shadow.shadow)
app.command("ramp")(ramp.ramp)
app.command("doctor")(doctor.doctor)
app.add_typer(policy.app)
app.command("attack")(attack.attack)
app.add_typer(lab.lab)
