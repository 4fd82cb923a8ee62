"""Create tickets with django-helpdesk: its public form, its models, its mail, in so many processes.

In its favour: the form is called directly, with no HTTP request around it; SQLite in WAL mode does not wait for the
disk at each commit; each process keeps one connection to the mail server, where Django opens one a mail.

Reads lines of standard input: `<count>`. For each prints JSON: seconds, tickets, mails handed over.
"""

import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import django
from django.conf import settings

TEXTS: list[str] = json.loads(os.environ["PEER_TEXTS"])
FOLDER = Path(os.environ["PEER_FOLDER"])


def configure() -> None:
    host, _, port = os.environ.get("PEER_SMTP", "").partition(":")
    settings.configure(
        SECRET_KEY="bench",
        USE_TZ=True,
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.sites",
            "django.contrib.humanize",
            "django.contrib.messages",
            "django.contrib.admin",
            "rest_framework",
            "helpdesk",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": FOLDER / "helpdesk.sqlite3",
                "CONN_MAX_AGE": None,
                "OPTIONS": {
                    "timeout": 60,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-64000;",
                },
            }
        },
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
            }
        ],
        EMAIL_BACKEND="tests.peers.programs.helpdesk_mail.Backend",
        EMAIL_HOST=host,
        EMAIL_PORT=int(port or 0),
        SITE_ID=1,
        ROOT_URLCONF="tests.peers.programs.helpdesk_urls",
        LOGIN_URL="/login/",
        STATIC_URL="/static/",
        MEDIA_ROOT=str(FOLDER),
        HELPDESK_TEAMS_MODE_ENABLED=False,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        LOGGING_CONFIG=None,
    )
    django.setup()


def prepare() -> None:
    """Tables, its templates of mails, a queue."""
    from django.core.management import call_command
    from helpdesk.models import Queue

    call_command("migrate", verbosity=0)
    call_command("loaddata", "emailtemplate", verbosity=0)
    Queue.objects.create(title="Complaints", slug="complaints", allow_public_submission=True, locale="en",
                         email_address="desk@example.org", new_ticket_cc="")  # fmt: skip


def create(first: int, last: int) -> int:
    """Tickets first..last; how many mails went out."""
    from helpdesk.forms import PublicTicketForm
    from helpdesk.models import Queue

    from tests.peers.programs.helpdesk_mail import Backend

    queue, before = Queue.objects.get(slug="complaints").pk, Backend.sent
    for number in range(first, last):
        waybill = f"SF{number:013d}"
        form = PublicTicketForm(
            data={
                "queue": str(queue),
                "title": waybill,
                "body": TEXTS[number % len(TEXTS)].format(waybill=waybill),
                "priority": "3",
                "submitter_email": f"customer-{number}@example.org",
            }
        )
        if not form.is_valid():
            raise SystemExit(f"helpdesk refuses: {form.errors}")
        form.save(None)
    return Backend.sent - before


def ready(_: int) -> int:
    """Have a worker imported and connected."""
    create(0, 1)
    time.sleep(0.5)
    return os.getpid()


def main() -> None:
    workers = int(sys.argv[1])
    configure()
    prepare()
    from django.db import connections
    from helpdesk.models import Ticket

    connections.close_all()
    with ProcessPoolExecutor(workers, mp_context=get_context("fork"), initializer=connections.close_all) as pool:
        list(pool.map(ready, range(4 * workers)))
        print(json.dumps({"ready": True}), flush=True)
        first = 1_000_000
        for line in sys.stdin:
            count, before = int(line), Ticket.objects.count()
            share = -(-count // workers)
            starts = range(first, first + count, share)
            began = time.perf_counter()
            mails = sum(pool.map(create, starts, [min(s + share, first + count) for s in starts]))
            seconds = time.perf_counter() - began
            first += count
            print(json.dumps({"seconds": seconds, "tickets": Ticket.objects.count() - before, "mails": mails}),
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
