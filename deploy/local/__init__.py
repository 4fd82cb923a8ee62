"""The local stack: real Kafka, a real database, Redis and a sandbox of gateways, as plain processes without root.

`part.py` says what a part is, one file per part says how it is fetched, prepared, run and asked whether it works,
`stack.py` runs parts for tests, `supervision.py` runs parts and services for `amends up`.
Everything listens on 127.0.0.1 alone and keeps its data in one folder.
"""
