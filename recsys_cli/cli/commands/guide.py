"""`recsys guide`: the documentation, page by page."""

from typing import Annotated

import typer

from recsys_cli.cli.session import session_of

Topic = Annotated[str | None, typer.Argument(help="A topic. Default: list the topics.", show_default=False)]


def guide(ctx: typer.Context, topic: Topic = None) -> None:
    """Show a page of the guide, or list its topics.

    Example: recsys guide settings
    """
    session = session_of(ctx)
    from recsys_cli.pipelines.guide import read_page, read_pages

    if topic is not None:
        page = read_page(topic)
        if session.options.as_json:
            record = {"topic": page.topic, "title": page.title, "text": page.text}
            session.terminal.show_json({"schema_version": 1, **record})
        else:
            session.terminal.show_page(page.text)
        return
    pages = read_pages()
    if session.options.as_json:
        topics = [{"topic": page.topic, "title": page.title} for page in pages]
        session.terminal.show_json({"schema_version": 1, "topics": topics})
        return
    session.terminal.show_table("The guide", ("topic", "page"), [(page.topic, page.title) for page in pages])
    session.terminal.say("next: recsys guide data")
