"""Run the sandbox: `python -m deploy.local.sandbox --folder DIR --http PORT --smpp PORT --smtp PORT`."""

import asyncio
from pathlib import Path

import click
import uvicorn
import uvloop

from deploy.local.sandbox.behaviour import Behaviours
from deploy.local.sandbox.http import http_app
from deploy.local.sandbox.mail_server import MailServer
from deploy.local.sandbox.messages_store import MessagesStore
from deploy.local.sandbox.sms_gateway import SmsGateway


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where received messages are kept.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that all three listen on.")
@click.option("--http", type=int, required=True, help="Port of the page that lists them.")
@click.option("--smpp", type=int, required=True, help="Port of the SMS gateway.")
@click.option("--smtp", type=int, required=True, help="Port of the mail server.")
@click.option("--receipt-delay-ms", type=int, default=50, show_default=True, help="From an SMS to its receipt.")
def main(*, folder: Path, host: str, http: int, smpp: int, smtp: int, receipt_delay_ms: int) -> None:
    """Stand in for the gateways of SMS and e-mail."""
    uvloop.run(
        _serve(folder=folder, host=host, http=http, smpp=smpp, smtp=smtp, receipt_delay_s=receipt_delay_ms / 1000)
    )


async def _serve(*, folder: Path, host: str, http: int, smpp: int, smtp: int, receipt_delay_s: float) -> None:
    store = MessagesStore(folder / "messages.sqlite")
    behaviours = Behaviours()
    sms = SmsGateway(store=store, behaviours=behaviours, host=host, port=smpp, receipt_delay_s=receipt_delay_s)
    mail = MailServer(store=store, behaviours=behaviours, host=host, port=smtp)
    page = uvicorn.Server(
        uvicorn.Config(http_app(store=store, behaviours=behaviours), host=host, port=http, log_level="warning")
    )
    gateways = [asyncio.create_task(sms.run()), asyncio.create_task(mail.run())]
    serving = asyncio.create_task(page.serve())
    # Whichever ends first ends all: a gateway that died must not leave a page that says all is well.
    await asyncio.wait([*gateways, serving], return_when=asyncio.FIRST_COMPLETED)
    page.should_exit = True
    for gateway in gateways:
        gateway.cancel()
    results = await asyncio.gather(serving, *gateways, return_exceptions=True)
    store.close()
    for result in results:
        if isinstance(result, Exception):
            raise result


if __name__ == "__main__":
    main()
