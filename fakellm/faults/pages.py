"""What a proxy in front of a model answers when it gets no answer itself."""

from fakellm.model.timeline import Act, Finish, Head, Write

_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
    "<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)

_PHRASES = {
    400: "Bad Request",
    401: "Authorization Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Not Allowed",
    408: "Request Time-out",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
    505: "HTTP Version Not Supported",
}
"""As nginx words them (``ngx_http_special_response.c``)."""


def html_page(status: int) -> tuple[Act, ...]:
    """A whole answer that is an HTML page, as nginx words it."""
    title = f"{status} {_PHRASES.get(status, '')}".rstrip()
    body = _PAGE.format(title=title).encode()
    headers = (
        ("Server", "nginx"),
        ("Content-Type", "text/html"),
        ("Content-Length", str(len(body))),
    )
    return Head(status, headers), Write(body), Finish()
