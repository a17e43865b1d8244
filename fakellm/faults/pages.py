"""What a proxy in front of a model answers when it gets no answer itself."""

from http import HTTPStatus

from fakellm.model.timeline import Act, Finish, Head, Write

_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
    "<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


def html_page(status: int) -> tuple[Act, ...]:
    """A whole answer that is an HTML page, as nginx words it."""
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = str(status)
    body = _PAGE.format(title=title).encode()
    headers = (
        ("Server", "nginx"),
        ("Content-Type", "text/html"),
        ("Content-Length", str(len(body))),
    )
    return Head(status, headers), Write(body), Finish()
