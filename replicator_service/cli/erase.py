"""``erase``: nothing of one document is left, and there is a receipt for it."""

from __future__ import annotations

from typing import Annotated

import typer

from replicator_service.app.erasure import erase_document
from replicator_service.cli.database import control_tables, known_collection
from replicator_service.cli.output import Json, print_json, print_table, print_text, wants_json
from replicator_service.configuration.settings import load_settings
from replicator_service.core.position import wall_time
from replicator_service.core.times import time_text
from replicator_service.sink.control.registry import registered


def erase_command(
    context: typer.Context,
    collection: Annotated[str, typer.Argument(help="The document's collection in MongoDB.")],
    document: Annotated[str, typer.Argument(metavar="ID", help="The text of _id in the row, such as $number:7.")],
    mart_key: Annotated[
        list[str] | None,
        typer.Option("--mart-key", help="A value by which marts know it, as a user_id; may be given again."),
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option("--patience", min=0.0, help="Seconds to wait for the stream to pass the delete.")
    ] = 30.0,
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Erase what is left of a document deleted in MongoDB: rows, dead letters, differences, versions in marts.

    Everything in one transaction, with a receipt that does not name the document.
    """
    settings = load_settings()
    stream = settings.mongo_database
    with control_tables(settings) as connection:
        name = known_collection(connection, stream, collection)
        (known,) = registered(connection, stream, name)
        receipt = erase_document(
            settings, connection, known, document, mart_keys=mart_key or (), timeout_seconds=timeout_seconds
        )
    at = time_text(wall_time(receipt.cluster_time))
    if wants_json(context):
        print_json(
            {
                "receipt": receipt.id,
                "collection": name,
                "cluster_time": receipt.cluster_time,
                "at": at,
                "erased": receipt.erased,
                "kept": receipt.kept,
            }
        )
        return
    print_table(("table", "erased rows"), [(table, str(rows)) for table, rows in receipt.erased.items()])
    if receipt.kept:
        print_text("Kept, since other documents have the same key of a mart:")
        print_table(("table", "rows"), [(table, str(rows)) for table, rows in receipt.kept.items()])
    print_text(f"Nothing of this document of {name} is left as of {at}. Receipt {receipt.id}.")
